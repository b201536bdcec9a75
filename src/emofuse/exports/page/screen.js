/* What the pointer and the focus do to the film: choose a person by their face, and call the browser's controls. */

const CONTROLS = 76; // the height that they take at the bottom of the film

Viewer.prototype.listenToScreen = function (on) {
  const { screen, media } = this.parts;
  const over = (here) => { this.overScreen = here; this.showMediaControls(); };
  on(screen, "pointerenter", () => over(true));
  // a finger leaves whenever it is lifted: it has gone when it is put down elsewhere
  on(screen, "pointerleave", (event) => { if (event.pointerType === "mouse") over(false); });
  on(document, "pointerdown", (event) => { if (this.overScreen && !screen.contains(event.target)) over(false); });
  for (const kind of ["focus", "blur"]) on(media, kind, () => this.showMediaControls());
  on(document, "fullscreenchange", () => this.showMediaControls());
  on(screen, "pointermove", (event) => screen.classList.toggle("on-face", this.personAt(event) !== null));
  // before the film hears of it, which would play
  on(screen, "click", (event) => {
    const person = this.personAt(event);
    if (person === null) return;
    event.preventDefault(); event.stopPropagation();
    this.choosePerson(person);
  }, { capture: true });
};
/* A film shows them only while they are wanted; sound has nothing else to show. */
Viewer.prototype.showMediaControls = function () {
  const { screen, media } = this.parts, wanted = this.overScreen || document.activeElement === media || document.fullscreenElement === screen;
  media.controls = this.loaded && (!media.videoWidth || Boolean(wanted));
};
/* Whose face, or name above it, is at the pointer; null: nobody's. */
Viewer.prototype.personAt = function (event) {
  const { faces, media } = this.parts;
  if (faces.hidden) return null;
  const place = media.getBoundingClientRect(), film = filmBox(media), [x, y] = [event.clientX - place.left, event.clientY - place.top];
  if (y > place.height - CONTROLS) return null;
  const hit = facesAt(this.model, media.currentTime).find(({ box: [left, top, right, bottom] }) =>
    x >= film.left + left * film.width && x <= film.left + right * film.width
    && y >= film.top + top * film.height - TAG && y <= film.top + bottom * film.height);
  return hit ? this.model.people[hit.person] : null;
};
