@file:Suppress("UNUSED_PARAMETER", "unused")

package android.widget

import android.content.Context

open class View(context: Context)

class FrameLayout(context: Context) : View(context) {
    fun addView(view: View) {}
}

class TextView(context: Context) : View(context) {
    var text: CharSequence = ""
    var textSize: Float = 0f
}
