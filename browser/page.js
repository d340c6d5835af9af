// The page: what can be clicked, and what is shown. All that is computed is computed here, nothing is sent anywhere.

import { decode, wavFile, withoutClipping } from "./audio.js";
import { Live } from "./live.js";
import { separateRecording } from "./recording.js";
import { loudness, spectrogram } from "./spectrogram.js";

const MARKUP = `
<section class="tasnet-card" aria-labelledby="tasnet-recording">
  <h2 id="tasnet-recording">A recording</h2>
  <label class="tasnet-drop"><input type="file" accept="audio/*,video/*">
    <strong>Drop a recording here</strong> or click to choose one; audio or film, of any length</label>
  <p class="tasnet-row"><button data-role="record">Record</button>
    <label>Separator <select data-role="separator"></select></label>
    <button data-role="cancel" hidden>Cancel</button></p>
  <progress hidden max="1"></progress>
  <p data-role="status" role="status"></p>
  <div data-role="results"></div>
</section>
<section class="tasnet-card" aria-labelledby="tasnet-live">
  <h2 id="tasnet-live">Live</h2>
  <p class="tasnet-row"><button data-role="live">Start the microphone</button>
    <label>Separator <select data-role="stream-separator"></select></label>
    <label>Play <select data-role="heard"></select></label></p>
  <p data-role="live-status" role="status">Wear headphones, or the microphone will pick up your speakers.</p>
  <div data-role="meters"></div>
  <div data-role="live-results"></div>
</section>`;

class Page {
  constructor(root, models) {
    root.innerHTML = MARKUP;
    this.root = root;
    this.separators = models.filter((model) => model.graph);
    this.streaming = models.filter((model) => model.step);
    this.at("separator").append(...this.separators.map(({ name }) => new Option(name)));
    this.at("stream-separator").append(...this.streaming.map(({ name }) => new Option(name)));
    this.file = root.querySelector("input[type=file]");
    this.progress = root.querySelector("progress");
    this.file.onchange = () => this.file.files[0] && this.separate(this.file.files[0], this.file.files[0].name);
    this.acceptDrops(root.querySelector(".tasnet-drop"));
    this.at("record").onclick = () => this.record();
    this.at("live").onclick = () => this.toggleLive();
    this.at("stream-separator").onchange = () => this.offerHeard();
    this.at("heard").onchange = () => this.chooseHeard();
    root.querySelector("[aria-labelledby=tasnet-recording]").hidden = this.separators.length === 0;
    root.querySelector("[aria-labelledby=tasnet-live]").hidden = this.streaming.length === 0;
    if (this.streaming.length) this.offerHeard();
  }

  at(role) {
    return this.root.querySelector(`[data-role=${role}]`);
  }

  acceptDrops(area) {
    area.ondragover = (event) => event.preventDefault();
    area.ondrop = (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file) this.separate(file, file.name);
    };
  }

  /** Separate a file or what was recorded, and show it. */
  async separate(blob, name) {
    const model = this.separators[this.at("separator").selectedIndex];
    const rate = model.sample_rate;
    const cancelling = new AbortController();
    this.at("cancel").onclick = () => cancelling.abort(new Error("cancelled"));
    this.at("results").replaceChildren();
    this.working(true);
    try {
      this.say("status", `Reading ${name} …`);
      const mixture = await decode(await blob.arrayBuffer(), rate).catch(() => {
        throw new Error("this browser cannot decode its sound");
      });
      if (mixture.length < rate / 100) throw new Error("it holds less than a hundredth of a second of sound");
      const seconds = mixture.length / rate;
      this.say("status", `Separating ${time(seconds)} …`);
      const began = performance.now();
      const progress = (share) => (this.progress.value = share);
      const voices = await separateRecording(model, mixture, { progress, signal: cancelling.signal });
      const taken = (performance.now() - began) / 1000;
      const found = model.counts_voices ? `${count(voices.length)} in ` : "";
      const speed = `separated in ${time(taken)}, ${(seconds / taken).toFixed(1)} times real time`;
      this.say("status", `${name}: ${found}${time(seconds)} ${speed}`);
      this.show("results", mixture, voices, rate, name.replace(/\.[^.]*$/, ""));
    } catch (error) {
      this.say("status", `${name}: ${error.message}`);
    } finally {
      this.working(false);
    }
  }

  working(busy) {
    this.at("cancel").hidden = this.progress.hidden = !busy;
    this.at("record").disabled = this.at("separator").disabled = this.file.disabled = busy;
    this.progress.removeAttribute("value"); // until a window is done
    if (!busy) this.file.value = ""; // so that the same file can be chosen again
  }

  async record() {
    const button = this.at("record");
    try {
      const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
      const recorder = new MediaRecorder(microphone);
      const pieces = [];
      recorder.ondataavailable = ({ data }) => pieces.push(data);
      recorder.onstop = () => {
        microphone.getTracks().forEach((track) => track.stop());
        button.textContent = "Record";
        button.onclick = () => this.record();
        this.separate(new Blob(pieces), "recording");
      };
      recorder.start();
      this.say("status", "Recording …");
      button.textContent = "Stop";
      button.onclick = () => recorder.stop();
    } catch (error) {
      this.say("status", `No microphone: ${error.message}`);
    }
  }

  /** Show the mixture and its voices: picture, player, download. */
  show(role, mixture, voices, rate, stem) {
    const loudest = loudness(mixture);
    const signals = [
      { label: "mixture", role: "mixture", samples: withoutClipping([mixture])[0] },
      ...withoutClipping(voices).map((samples, c) => ({ label: `s${c + 1}`, role: "voice", samples })),
    ];
    this.at(role).replaceChildren(
      ...signals.map(({ label, role, samples }) => {
        const url = URL.createObjectURL(wavFile(samples, rate));
        const figure = document.createElement("figure");
        const link = Object.assign(document.createElement("a"), { href: url, download: `${stem}_${label}.wav` });
        link.textContent = "Download";
        const caption = document.createElement("figcaption");
        caption.append(label === "mixture" ? "Mixture " : `Voice ${label.slice(1)} `, link);
        const player = Object.assign(document.createElement("audio"), { controls: true, src: url });
        figure.append(caption, spectrogram(samples, role, loudest), player);
        return figure;
      }),
    );
  }

  get streamModel() {
    return this.streaming[this.at("stream-separator").selectedIndex];
  }

  async toggleLive() {
    const button = this.at("live");
    const rate = this.streamModel.sample_rate;
    button.disabled = true;
    try {
      if (this.live) {
        const [mixture, ...voices] = await this.live.stop();
        this.live = null;
        this.say("live-status", mixture ? `${time(mixture.length / rate)} heard` : "");
        if (mixture) this.show("live-results", mixture, voices, rate, "live");
      } else {
        this.say("live-status", "Starting …");
        this.late = 0;
        this.at("live-results").replaceChildren();
        this.at("meters").replaceChildren(); // another separator may have other voices
        this.at("stream-separator").disabled = true;
        this.live = await Live.start(this.streamModel, (event) => this.reportLive(event));
        this.chooseHeard();
      }
    } catch (error) {
      this.live = null;
      this.say("live-status", `No microphone: ${error.message}`);
    }
    button.textContent = this.live ? "Stop" : "Start the microphone";
    this.at("stream-separator").disabled = Boolean(this.live);
    button.disabled = false;
  }

  reportLive({ levels, share, late, error }) {
    if (error) this.say("live-status", error);
    if (late) this.late += 1;
    if (!levels || !this.live) return;
    this.share = this.share === undefined ? share : 0.95 * this.share + 0.05 * share;
    const latency = Math.round(1000 * this.live.latency);
    const load = Math.round(100 * this.share);
    this.say("live-status", `latency ${latency} ms · ${load} % of a processor · ${this.late} drop-outs`);
    const meters = this.at("meters");
    if (!meters.children.length) {
      const named = levels.map((_, c) => {
        const label = document.createElement("label");
        label.append(c ? `Voice ${c} ` : "Microphone ", Object.assign(document.createElement("meter"), { max: 1 }));
        return label;
      });
      meters.append(...named);
    }
    // From -60 dB to full scale.
    levels.forEach((level, c) => (meters.children[c].lastChild.value = 1 + Math.log10(level + 1e-9) / 3));
  }

  offerHeard() {
    const voices = Array.from({ length: this.streamModel.num_spks }, (_, c) => c);
    // All are spread from left to right, with the same power.
    const places = voices.map((c) => (voices.length > 1 ? c / (voices.length - 1) : 0.5));
    const alone = voices.map((c) => voices.map((other) => Number(other === c)));
    this.choices = [
      ["all, from left to right", places.map((place) => Math.sqrt(1 - place)), places.map(Math.sqrt)],
      ...alone.map((gains, c) => [`voice ${c + 1}`, gains, gains]),
      ["nothing", [], []],
    ];
    this.at("heard").replaceChildren(...this.choices.map(([label]) => new Option(label)));
  }

  chooseHeard() {
    const [, left, right] = this.choices[this.at("heard").selectedIndex];
    this.live?.play(left, right);
  }

  say(role, text) {
    this.at(role).textContent = text;
  }
}

function count(voices) {
  if (voices === 0) return "nobody is heard";
  return voices === 1 ? "1 voice" : `${voices} voices`;
}

function time(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

async function main() {
  const root = document.getElementById("tasnet");
  try {
    const listed = new URL("./models/models.json", import.meta.url);
    const answer = await fetch(listed);
    if (!answer.ok) throw new Error(`${listed.pathname}: ${answer.status}`);
    const models = await answer.json();
    const here = (file) => file && new URL(file, listed).href;
    const located = models.map((model) => ({ ...model, graph: here(model.graph), step: here(model.step) }));
    new Page(root, located);
  } catch (error) {
    root.textContent = `The separators could not be loaded: ${error.message}`;
  }
}

main();
