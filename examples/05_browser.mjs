// Labels in JavaScript, by an exported file: npm install onnxruntime-web
//   fullconv export MODEL --to onnx --out street.onnx
//   node examples/05_browser.mjs street.onnx pixels.rgb 480 360 labels.raw
// In a browser: import the same package, and take pixels from a canvas (getImageData, without its alpha).
import { readFile, writeFile } from "node:fs/promises";
import { InferenceSession, Tensor } from "onnxruntime-web";

/** Ids of an image's pixels: Uint8Array (Int32Array above 256 classes) of height * width. rgb: Uint8Array, row by row. */
export async function segment(session, rgb, width, height) {
  const images = new Tensor("uint8", rgb, [1, height, width, 3]);
  const { labels } = await session.run({ images }, ["labels"]); // no other output is computed
  return labels.data;
}

const [model, pixels, width, height, out] = process.argv.slice(2);
const session = await InferenceSession.create(await readFile(model)); // once for all images
const labels = await segment(session, new Uint8Array(await readFile(pixels)), Number(width), Number(height));
await writeFile(out, labels);
