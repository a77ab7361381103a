"use strict";
// One page, no library: every figure comes from the server, this file shows it.
const $ = (id) => document.getElementById(id);
const images = []; // {name, file, state, batch, model, said, by, packed, hidden}
let models = [], shown = null, key = "", cursor = null, queue = Promise.resolve();
let maps = null, turn = 0; // {ids, sure, picture} of the shown image; the others are kept packed

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
    if (reply.status === 401) {
      key = await askForKey();
      if (!key) throw new Error("The server asks for a key; choose an image to enter it.");
      continue;
    }
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
  $("ask").oncancel = () => { $("key").value = ""; };
  $("ask").showModal();
  return new Promise((go) => $("ask").addEventListener("close", () => go($("key").value), { once: true }));
}

async function start() {
  models = (await (await ask("v1/models")).json()).models;
  const chosen = $("model").value;
  $("model").replaceChildren(...models.map((model) => new Option(model.name)));
  if (models.some((model) => model.name === chosen)) $("model").value = chosen;
}

// Classes and colours of the version that answered: a model may be loaded again at any time.
async function modelOf(said) {
  const answered = (model) => model.name === said.model && model.version === said.version;
  if (!models.some(answered)) await start();
  const found = models.find(answered);
  if (!found) throw new Error("The model was loaded again meanwhile; choose the image again.");
  return found;
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
    entry.by = await modelOf(said);
    entry.packed = new Blob([Uint8Array.from(atob(said.maps), (letter) => letter.charCodeAt(0))], { type: "image/png" });
    delete said.maps;
    entry.said = said;
    entry.state = "done";
    if (!entry.batch.shown) await show(entry); // the first of those that came together
    entry.batch.shown = true;
  } catch (error) {
    entry.state = "failed";
    entry.error = `${entry.name}: ${error.message}`;
    complain(entry.error);
  }
  listed();
}

async function unpack(entry) {
  const { width, height } = entry.said, count = width * height;
  const bitmap = await createImageBitmap(entry.packed, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = pen.getImageData(0, 0, width, height).data;
  const ids = new Uint16Array(count), sure = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    ids[i] = rgba[4 * i] + 256 * rgba[4 * i + 1];
    sure[i] = rgba[4 * i + 2];
  }
  let picture = null;
  try { picture = await createImageBitmap(entry.file); } catch { /* TIFF: no browser shows it */ }
  return { ids, sure, picture };
}

const colourOf = (entry, id) => {
  const text = entry.by.classes[id][$("colours").value];
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
    button.onclick = () => entry.state === "done" ? show(entry).catch((error) => complain(error.message))
      : complain(entry.error || "");
    return button;
  }));
}

async function show(entry) {
  const mine = ++turn, unpacked = await unpack(entry);
  if (mine !== turn) { unpacked.picture?.close(); return; } // another was chosen meanwhile
  maps?.picture?.close();
  maps = unpacked;
  shown = entry;
  cursor = null;
  $("result").hidden = false;
  $("view").width = entry.said.width;
  $("view").height = entry.said.height;
  const note = maps.picture ? "" : " This browser cannot show the image itself, only what was found in it.";
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
  const opacity = Number($("opacity").value) / 100;
  const confidence = document.querySelector("input[name=look]:checked").value === "confidence";
  const over = new ImageData(width, height), data = over.data, background = shown.by.background;
  const colours = shown.by.classes.map((one) => colourOf(shown, one.id));
  for (let i = 0; i < maps.ids.length; i++) {
    const id = maps.ids[i];
    if (shown.hidden.has(id) || (!confidence && id === background)) continue;
    // sure is blue and dark, unsure yellow and light: told apart without red and green
    const sure = maps.sure[i] / 255;
    const colour = confidence ? [255 - 225 * sure, 225 - 165 * sure, 60 + 60 * sure] : colours[id];
    data[4 * i] = colour[0]; data[4 * i + 1] = colour[1]; data[4 * i + 2] = colour[2]; data[4 * i + 3] = 255;
  }
  const layer = new OffscreenCanvas(width, height);
  layer.getContext("2d").putImageData(over, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (maps.picture) pen.drawImage(maps.picture, 0, 0, width, height);
  if (maps.picture && opacity) {
    // grey below the colours: those of things would mix with them, and look like another class
    const grey = new OffscreenCanvas(width, height), below = grey.getContext("2d");
    below.drawImage(layer, 0, 0);
    below.globalCompositeOperation = "source-in";
    below.fillStyle = "grey";
    below.fillRect(0, 0, width, height);
    pen.globalCompositeOperation = "saturation";
    pen.drawImage(grey, 0, 0);
    pen.globalCompositeOperation = "source-over";
  }
  pen.globalAlpha = opacity;
  pen.drawImage(layer, 0, 0);
  pen.globalAlpha = 1;
  view.setAttribute("aria-label", `${shown.name} with the classes over it`);
}

function under(x, y) {
  const { width, height } = shown.said;
  cursor = [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
  const at = cursor[1] * width + cursor[0];
  const name = shown.by.classes[maps.ids[at]].name;
  $("under").textContent = `${name}, ${percent(maps.sure[at] / 255)} sure (column ${cursor[0]}, row ${cursor[1]})`;
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

async function again(kind) {
  const { model, version } = shown.said;
  const reply = await ask(`v1/segment?as=${kind}&model=${encodeURIComponent(model)}`, { method: "POST", body: shown.file });
  if (reply.headers.get("Model-Version") !== version) {
    throw new Error("The model was loaded again since this image was segmented; choose the image again.");
  }
  return reply.blob();
}

async function download(button) {
  try {
    const kind = button.dataset.as;
    const blob = kind === "view"
      ? await new Promise((go) => $("view").toBlob(go, "image/png"))
      : await again(kind);
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
