/* Boxes around faces, drawn over the film as it plays. */

const HELD = 0.6, JOINED = 2.5, // times the usual time between two frames that were read
  TAG = 20; // the height of a name, above a face

function unpackedFaces(packed) {
  const people = packed.map((each) => ({
    person: each.person,
    times: Float64Array.from(new Int32Array(bytes(each.times).buffer), (ms) => ms / 1000),
    boxes: new Int16Array(bytes(each.boxes).buffer),
  }));
  const steps = people.flatMap(({ times }) => Array.from(times.subarray(1), (time, i) => time - times[i])).sort((a, b) => a - b);
  return { people, interval: steps.length ? steps[steps.length >> 1] : 0.2 };
}

/* Left, top, right and bottom of one person's face at a time, in shares of the frame; null: not in view.
   Between two frames that were read the box moves evenly; beside a gap it stays for half a step. */
function faceAt({ times, boxes }, time, interval) {
  const after = firstFrom(times, time), before = after - 1;
  const box = (i) => Array.from(boxes.subarray(4 * i, 4 * i + 4), (edge) => edge * BOX_UNIT);
  if (after < times.length && before >= 0 && times[after] - times[before] <= JOINED * interval) {
    const way = (time - times[before]) / (times[after] - times[before]), from = box(before), to = box(after);
    return from.map((edge, i) => edge + way * (to[i] - edge));
  }
  if (before >= 0 && time - times[before] <= HELD * interval) return box(before);
  if (after < times.length && times[after] - time <= HELD * interval) return box(after);
  return null;
}

/* Where the film is in its element, which shows it whole: left, top, width and height in CSS pixels. */
function filmBox(media) {
  const { clientWidth: width, clientHeight: height, videoWidth: wide, videoHeight: high } = media;
  const scale = Math.min(width / wide, height / high);
  return { left: (width - wide * scale) / 2, top: (height - high * scale) / 2, width: wide * scale, height: high * scale };
}

/* The emotions of which a segment's may be any at a time, where only the face answers; none: its own alone. */
function tieAt(model, person, part, time) {
  const series = model.series.find((each) => each.person === person), i = series ? series.at(time) : -1;
  const top = i >= 0 && series.known("fused", i) ? series.top("fused", i) : [];
  return top.length > 1 && top.includes(part.emotion) ? top : [];
}
/* The emotion of a segment, as it is shown at a time. */
function wordAt(model, person, part, time) {
  const tied = tieAt(model, person, part, time);
  return tied.length ? model.joined(tied) : part.word;
}
/* Everybody in view at a time: {person, box, part, word}; the part is the segment then, if there is one. */
function facesAt(model, time) {
  const found = [];
  for (const one of model.faces.people) {
    const box = faceAt(one, time, model.faces.interval);
    if (!box) continue;
    const ribbon = model.ribbons.find((each) => each.person === model.people[one.person]);
    const part = ribbon ? ribbon.at(time) : null;
    found.push({ person: one.person, box, part, word: part && part.status === "read" ? wordAt(model, ribbon.person, part, time) : null });
  }
  return found;
}

function drawFaces(canvas, media, tracks, time) {
  const { model, ink, say } = tracks, pen = sized(canvas, media.clientWidth, media.clientHeight), film = filmBox(media);
  pen.font = "600 12px " + FONT; pen.textBaseline = "middle"; pen.textAlign = "left";
  const tags = [];
  for (const { person, box, part, word } of facesAt(model, time)) {
    const [left, right] = [box[0], box[2]].map((edge) => film.left + edge * film.width);
    const [top, bottom] = [box[1], box[3]].map((edge) => film.top + edge * film.height);
    const read = part && part.status === "read", color = read ? ink.emotions[part.emotion] : "#e4e8ec";
    pen.strokeStyle = "rgb(0 0 0 / .6)"; pen.lineWidth = 4; pen.strokeRect(left, top, right - left, bottom - top);
    pen.strokeStyle = color; pen.lineWidth = 2; pen.strokeRect(left, top, right - left, bottom - top);
    const words = !part || part.status === "nothing" ? [] : [read ? word : say(part.status === "excluded" ? "excluded" : "not_sure")];
    const text = shortened(pen, [model.names[person], ...words].join(" · "), Math.max(60, film.width - 12));
    const width = pen.measureText(text).width + 12, x = Math.max(film.left, Math.min(left - 1, film.left + film.width - width));
    const above = top - TAG >= film.top ? top - TAG : Math.max(top, film.top);
    const taken = tags.some((tag) => Math.abs(tag.y - above) < TAG && x < tag.x + tag.width && tag.x < x + width);
    const y = taken ? Math.min(bottom, film.top + film.height - TAG) : above;
    tags.push({ x, y, width });
    pen.fillStyle = color; pen.fillRect(x, y, width, 19);
    pen.fillStyle = read ? ink.on[part.emotion] : "#10141a"; pen.fillText(text, x + 6, y + 10);
  }
}
