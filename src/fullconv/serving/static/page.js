"use strict";
// One page, no library: every figure comes from the server, this file shows it.
const $ = (id) => document.getElementById(id);
const images = []; // {name, file, state, batch, model, said, picture, ids, sure, hidden}
let models = [], shown = null, key = "", cursor = null, queue = Promise.resolve();

function complain(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

async function ask(path, options = {}) {
  for (;;) {
    const headers = { ...(options.headers || {}), ...(key ? { "X-API-Key": key } : {}) };
    let reply;
    try {
      reply = await fetch(path, { ...options, headers });
    } catch {
      throw new Error("The server does not answer; is it running?");
    }
    if (reply.ok) return reply;
    if (reply.status === 401) { key = await askForKey(); continue; }
    if (reply.status === 429) {
      const seconds = Number(reply.headers.get("Retry-After")) || 1;
      await new Promise((go) => setTimeout(go, 1000 * seconds));
      continue;
    }
    let detail = reply.statusText;
    try { detail = (await reply.json()).detail || detail; } catch { /* no JSON: the status has to do */ }
    throw new Error(detail);
  }
}

function askForKey() {
  $("key").value = "";
  $("ask").showModal();
  return new Promise((go) => $("ask").addEventListener("close", () => go($("key").value), { once: true }));
}

async function start() {
  models = (await (await ask("v1/models")).json()).models;
  $("model").replaceChildren(...models.map((model) => new Option(model.name)));
}

function add(files) {
  const given = [...files];
  if (!given.length) return;
  complain("");
  const batch = { shown: false };
  for (const file of given) {
    const entry = { name: file.name || "pasted.png", file, state: "waiting", batch, model: $("model").value, hidden: new Set() };
    images.push(entry);
    queue = queue.then(() => segment(entry));
  }
  listed();
}

async function segment(entry) {
  entry.state = "working";
  listed();
  try {
    const reply = await ask(`v1/segment?maps=1&model=${encodeURIComponent(entry.model)}`,
      { method: "POST", body: entry.file, headers: { Accept: "application/json" } });
    const said = await reply.json();
    await unpack(entry, said);
    try { entry.picture = await createImageBitmap(entry.file); } catch { entry.picture = null; } // TIFF: no browser shows it
    entry.said = said;
    entry.state = "done";
    if (!entry.batch.shown) show(entry); // the first of those that came together
    entry.batch.shown = true;
  } catch (error) {
    entry.state = "failed";
    entry.error = `${entry.name}: ${error.message}`;
    complain(entry.error);
  }
  listed();
}

async function unpack(entry, said) {
  const bytes = Uint8Array.from(atob(said.maps), (letter) => letter.charCodeAt(0));
  const blob = new Blob([bytes], { type: "image/png" });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(said.width, said.height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  const rgba = pen.getImageData(0, 0, said.width, said.height).data;
  const count = said.width * said.height;
  entry.ids = new Uint16Array(count);
  entry.sure = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    entry.ids[i] = rgba[4 * i] + 256 * rgba[4 * i + 1];
    entry.sure[i] = rgba[4 * i + 2];
  }
  delete said.maps;
}

const modelOf = (entry) => models.find((model) => model.name === entry.said.model);
const colourOf = (entry, id) => {
  const text = modelOf(entry).classes[id][$("colours").value];
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
};

function listed() {
  const finished = images.filter((entry) => entry.state === "done" || entry.state === "failed").length;
  $("progress").hidden = images.length < 2;
  $("bar").max = images.length || 1;
  $("bar").value = finished;
  $("done").textContent = `${finished} of ${images.length} done`;
  $("list").hidden = images.length < 2;
  $("list").replaceChildren(...images.map((entry) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = entry.name + (entry.state === "done" ? "" : ` (${entry.state})`);
    button.className = entry.state === "failed" ? "bad" : "";
    button.setAttribute("aria-pressed", String(entry === shown));
    button.onclick = () => entry.state === "done" ? show(entry) : complain(entry.error || "");
    return button;
  }));
}

function show(entry) {
  shown = entry;
  cursor = null;
  $("result").hidden = false;
  $("view").width = entry.said.width;
  $("view").height = entry.said.height;
  const note = entry.picture ? "" : " This browser cannot show the image itself, only what was found in it.";
  $("said").textContent = `${entry.name}: ${entry.said.width} x ${entry.said.height}, by ${entry.said.model} ` +
    `(version ${entry.said.version}), mean confidence ${percent(entry.said.confidence)}. ${entry.said.note}${note}`;
  table();
  draw();
  listed();
}

const percent = (value) => value === null ? "-" : `${(100 * value).toFixed(1)} %`;

function table() {
  const rows = [...shown.said.classes].sort((a, b) => b.pixels - a.pixels);
  $("areas").tBodies[0].replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr"), label = document.createElement("label");
    const box = document.createElement("input"), swatch = document.createElement("canvas");
    line.className = row.pixels ? "" : "none";
    box.type = "checkbox";
    box.checked = !shown.hidden.has(row.id);
    box.onchange = () => { box.checked ? shown.hidden.delete(row.id) : shown.hidden.add(row.id); draw(); };
    swatch.className = "swatch";
    swatch.width = swatch.height = 1;
    const pen = swatch.getContext("2d");
    pen.fillStyle = `rgb(${colourOf(shown, row.id)})`;
    pen.fillRect(0, 0, 1, 1);
    label.append(box, swatch, row.name);
    line.insertCell().append(label);
    for (const text of [row.pixels.toLocaleString("en"), percent(row.share), percent(row.confidence)]) {
      line.insertCell().textContent = text;
    }
    return line;
  }));
}

function draw() {
  const { width, height } = shown.said, view = $("view"), pen = view.getContext("2d");
  const opacity = Math.round(2.55 * Number($("opacity").value));
  const confidence = document.querySelector("input[name=look]:checked").value === "confidence";
  const over = new ImageData(width, height), data = over.data, background = modelOf(shown).background;
  const colours = modelOf(shown).classes.map((one) => colourOf(shown, one.id));
  for (let i = 0; i < shown.ids.length; i++) {
    const id = shown.ids[i];
    if (shown.hidden.has(id) || (!confidence && id === background)) continue;
    // sure is blue and dark, unsure yellow and light: told apart without red and green
    const sure = shown.sure[i] / 255;
    const colour = confidence ? [255 - 225 * sure, 225 - 165 * sure, 60 + 60 * sure] : colours[id];
    data[4 * i] = colour[0]; data[4 * i + 1] = colour[1]; data[4 * i + 2] = colour[2]; data[4 * i + 3] = opacity;
  }
  const layer = new OffscreenCanvas(width, height);
  layer.getContext("2d").putImageData(over, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (shown.picture) pen.drawImage(shown.picture, 0, 0, width, height);
  pen.drawImage(layer, 0, 0);
  view.setAttribute("aria-label", `${shown.name} with the classes over it`);
}

function under(x, y) {
  const { width, height } = shown.said;
  cursor = [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
  const at = cursor[1] * width + cursor[0];
  const name = modelOf(shown).classes[shown.ids[at]].name;
  $("under").textContent = `${name}, ${percent(shown.sure[at] / 255)} sure (column ${cursor[0]}, row ${cursor[1]})`;
}

function pointed(event) {
  const box = $("view").getBoundingClientRect(), { width, height } = shown.said;
  const scale = Math.min(box.width / width, box.height / height); // object-fit: contain
  const left = box.left + (box.width - scale * width) / 2, top = box.top + (box.height - scale * height) / 2;
  under(Math.floor((event.clientX - left) / scale), Math.floor((event.clientY - top) / scale));
}

function moved(event) {
  const step = event.shiftKey ? 20 : 1;
  const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (!by) return;
  event.preventDefault();
  const [x, y] = cursor || [shown.said.width >> 1, shown.said.height >> 1];
  under(x + by[0], y + by[1]);
}

async function download(button) {
  try {
    const kind = button.dataset.as;
    const blob = kind === "view"
      ? await new Promise((go) => $("view").toBlob(go, "image/png"))
      : await (await ask(`v1/segment?as=${kind}&model=${encodeURIComponent(shown.said.model)}`,
        { method: "POST", body: shown.file })).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = shown.name.replace(/\.[^.]*$/, "") + button.dataset.end;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) {
    complain(error.message);
  }
}

for (const id of ["files", "camera"]) $(id).onchange = (event) => { add(event.target.files); event.target.value = ""; };
document.addEventListener("paste", (event) => add(event.clipboardData.files));
document.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  add(event.dataTransfer.files);
});
$("opacity").oninput = () => shown && draw();
$("colours").onchange = () => { if (shown) { table(); draw(); } };
document.querySelectorAll("input[name=look]").forEach((one) => { one.onchange = () => shown && draw(); });
$("view").onpointermove = pointed;
$("view").onpointerdown = pointed;
$("view").onkeydown = moved;
$("downloads").onclick = (event) => event.target.dataset.as && download(event.target);
start().catch((error) => complain(error.message));
