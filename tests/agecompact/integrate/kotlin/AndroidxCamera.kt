package androidx.camera.core

import android.graphics.Bitmap

class CameraSelector {
    companion object {
        @JvmField val DEFAULT_FRONT_CAMERA = CameraSelector()
    }
}

class ImageInfo {
    val rotationDegrees: Int get() = TODO()
}

interface ImageProxy : AutoCloseable {
    val imageInfo: ImageInfo

    fun toBitmap(): Bitmap
}

class ImageAnalysis {
    fun interface Analyzer {
        fun analyze(image: ImageProxy)
    }

    companion object {
        const val STRATEGY_KEEP_ONLY_LATEST = 0
    }
}
