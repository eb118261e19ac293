@file:Suppress("UNUSED_PARAMETER", "unused")

package android.graphics

import java.io.InputStream

class Bitmap {
    val width: Int get() = TODO()
    val height: Int get() = TODO()

    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {}

    companion object {
        @JvmStatic
        fun createBitmap(
            source: Bitmap, x: Int, y: Int, width: Int, height: Int, matrix: Matrix, filter: Boolean,
        ): Bitmap = TODO()
    }
}

object BitmapFactory {
    fun decodeStream(stream: InputStream): Bitmap = TODO()
}

class Matrix {
    fun postRotate(degrees: Float): Boolean = TODO()
}

class PointF(val x: Float, val y: Float)

class Rect {
    fun width(): Int = TODO()
}
