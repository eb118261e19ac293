package com.google.mlkit.vision.common

import android.graphics.Bitmap

class InputImage {
    companion object {
        @JvmStatic
        fun fromBitmap(bitmap: Bitmap, rotation: Int): InputImage = TODO("$bitmap $rotation")
    }
}
