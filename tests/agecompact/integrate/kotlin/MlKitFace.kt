@file:Suppress("UNUSED_PARAMETER", "unused")

package com.google.mlkit.vision.face

import android.graphics.PointF
import android.graphics.Rect
import com.google.android.gms.tasks.Task
import com.google.mlkit.vision.common.InputImage

class FaceLandmark {
    val position: PointF get() = TODO()

    companion object {
        const val MOUTH_LEFT = 5
        const val MOUTH_RIGHT = 11
        const val LEFT_EYE = 4
        const val RIGHT_EYE = 10
    }
}

class Face {
    val boundingBox: Rect get() = TODO()

    fun getLandmark(kind: Int): FaceLandmark? = TODO()
}

class FaceDetectorOptions {
    class Builder {
        fun setLandmarkMode(mode: Int): Builder = TODO()

        fun build(): FaceDetectorOptions = TODO()
    }

    companion object {
        const val LANDMARK_MODE_ALL = 2
    }
}

interface FaceDetector : AutoCloseable {
    fun process(image: InputImage): Task<List<Face>>
}

object FaceDetection {
    fun getClient(options: FaceDetectorOptions): FaceDetector = TODO()
}
