// Runs beside the audio of the browser: samples at its rate become blocks of 100 ms of 16 kHz mono PCM, 16 bit.

const RATE = 16000;
const BLOCK = 1600;
const CROSSINGS = 24; // of the sinc, on each side: how steep the low-pass is
const ROLLOFF = 0.93; // of the lower of both Nyquist frequencies
const BETA = 8.5; // of the Kaiser window: 85 dB

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) { term *= (x / (2 * k)) ** 2; sum += term; }
  return sum;
}

/* Windowed-sinc resampling by a ratio of whole numbers: one row of weights for each place between two samples. */
export class Resampler {
  constructor(from, to) {
    const common = divisor(Math.round(from), to);
    this.up = to / common;
    this.down = Math.round(from) / common;
    const pass = ROLLOFF * Math.min(1, to / from);
    this.half = Math.ceil(CROSSINGS / pass);
    this.rows = Array.from({ length: this.up }, (_, row) => this.weights(row / this.up, pass));
    this.kept = new Float32Array(this.half); // input that is still needed; before the first sample is silence
    this.at = 0; // where the next output lies: in input samples after kept[half], times up
  }

  weights(shift, pass) {
    const weights = new Float32Array(2 * this.half), top = bessel(BETA);
    for (let i = 0; i < weights.length; i++) {
      const x = i - this.half + 1 - shift, edge = x / this.half;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * pass * x) / (Math.PI * pass * x);
      weights[i] = Math.abs(edge) < 1 ? pass * sinc * bessel(BETA * Math.sqrt(1 - edge * edge)) / top : 0;
    }
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  }

  /* What more input makes of output. The first sample of the output lies where the first of the input does. */
  add(samples) {
    const input = new Float32Array(this.kept.length + samples.length);
    input.set(this.kept);
    input.set(samples, this.kept.length);
    const made = [];
    let center = this.half + Math.floor(this.at / this.up);
    while (center + this.half < input.length) {
      const weights = this.rows[this.at % this.up], first = center - this.half + 1;
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * input[first + i];
      made.push(sum);
      this.at += this.down;
      center = this.half + Math.floor(this.at / this.up);
    }
    const passed = Math.min(center - this.half, input.length);
    this.kept = input.slice(passed);
    this.at -= passed * this.up;
    return made;
  }
}

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
  }

  process([channels]) {
    const n = channels.length ? channels[0].length : 128; // a muted input has no channels, and time goes on
    const mono = new Float32Array(n);
    for (const channel of channels) for (let i = 0; i < n; i++) mono[i] += channel[i] / channels.length;
    for (const value of this.resampler.add(mono)) {
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
      if (this.filled === BLOCK) {
        this.port.postMessage(this.block.buffer, [this.block.buffer]);
        this.block = new Int16Array(BLOCK);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
