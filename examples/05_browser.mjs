// Labels in JavaScript, by an exported file: npm install onnxruntime-web
//   fullconv export MODEL --to onnx --out street.onnx
//   node examples/05_browser.mjs street.onnx pixels.rgb 480 360 labels.raw
// In a browser: import the same package, and take pixels from a canvas (getImageData, without its alpha).
import { readFile, writeFile } from "node:fs/promises";
import { InferenceSession, Tensor } from "onnxruntime-web";

/** Ids of the pixels of an image: Uint8Array of height * width. rgb: bytes of height * width * 3, row by row. */
export async function segment(model, rgb, width, height) {
  const session = await InferenceSession.create(model);
  const images = new Tensor("uint8", rgb, [1, height, width, 3]);
  const { labels } = await session.run({ images }, ["labels"]); // no other output is computed
  return labels.data;
}

const [model, pixels, width, height, out] = process.argv.slice(2);
const labels = await segment(await readFile(model), new Uint8Array(await readFile(pixels)), Number(width), Number(height));
await writeFile(out, labels);
