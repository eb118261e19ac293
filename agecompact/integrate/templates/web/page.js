// A page to try the model: click the two eyes and the mouth, and see the answers.

import { FaceModel, readPicture } from "./facemodel.js";
import { frame } from "./preprocess.js";

const POINTS = ["the eye on the left of the picture", "the other eye", "the middle of the mouth"];
const status = document.querySelector("[role=status]");
const canvas = document.querySelector("canvas");
const input = document.querySelector("input");
const model = await FaceModel.load();
let photo;
let points = [];

input.disabled = false;
status.textContent = "Choose a picture. It stays on this device.";
input.addEventListener("change", async ({ target }) => {
  if (!target.files.length) return;
  photo = await readPicture(target.files[0]);
  [canvas.width, canvas.height, canvas.hidden] = [photo.width, photo.height, false];
  canvas.getContext("2d").putImageData(photo, 0, 0);
  points = [];
  status.textContent = `Click ${POINTS[0]}.`;
});

canvas.addEventListener("click", async ({ offsetX, offsetY }) => {
  points.push([(offsetX * photo.width) / canvas.clientWidth, (offsetY * photo.height) / canvas.clientHeight]);
  if (points.length < POINTS.length) {
    status.textContent = `Click ${POINTS[points.length]}.`;
    return;
  }
  const answers = await model.answers(frame(photo, points));
  points = [];
  const shown = Object.entries(answers).map(([name, values]) => `${name} ${values.map((v) => v.toFixed(2)).join(", ")}`);
  status.textContent = `${shown.join("; ")}. Click ${POINTS[0]} for another face.`;
});
