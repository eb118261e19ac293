package com.example.facemodel

import android.graphics.Bitmap
import com.google.android.gms.tasks.Tasks
import com.google.mlkit.vision.common.InputImage
import com.google.mlkit.vision.face.Face
import com.google.mlkit.vision.face.FaceDetection
import com.google.mlkit.vision.face.FaceDetectorOptions
import com.google.mlkit.vision.face.FaceLandmark

/** Finds the largest face and frames it; not for the main thread. */
class FaceFinder : AutoCloseable {
    private val detector = FaceDetection.getClient(
        FaceDetectorOptions.Builder()
            .setLandmarkMode(FaceDetectorOptions.LANDMARK_MODE_ALL)
            .build(),
    )

    /** The face chip of an upright bitmap; null if there is no face. */
    fun chip(bitmap: Bitmap): Picture? {
        val faces = Tasks.await(detector.process(InputImage.fromBitmap(bitmap, 0)))
        val face = faces.maxByOrNull { it.boundingBox.width() } ?: return null
        // ML Kit's left is the person's; the model's is that of the picture.
        val (leftEye, rightEye) = listOf(
            face.point(FaceLandmark.LEFT_EYE) ?: return null,
            face.point(FaceLandmark.RIGHT_EYE) ?: return null,
        ).sortedBy { it.x }
        val corner = face.point(FaceLandmark.MOUTH_LEFT) ?: return null
        val other = face.point(FaceLandmark.MOUTH_RIGHT) ?: return null
        val mouth = Point((corner.x + other.x) / 2, (corner.y + other.y) / 2)
        return frame(bitmap.toPicture(), leftEye, rightEye, mouth)
    }

    override fun close() = detector.close()
}

private fun Face.point(kind: Int): Point? =
    getLandmark(kind)?.position?.let { Point(it.x.toDouble(), it.y.toDouble()) }
