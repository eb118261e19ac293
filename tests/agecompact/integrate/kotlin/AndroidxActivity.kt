@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.activity

import android.content.Context
import android.os.Bundle
import android.widget.View
import androidx.activity.result.ActivityResultLauncher
import androidx.activity.result.contract.ActivityResultContract

open class ComponentActivity : Context(), androidx.lifecycle.LifecycleOwner {
    protected open fun onCreate(savedInstanceState: Bundle?) {}

    protected open fun onDestroy() {}

    fun setContentView(view: View) {}

    fun runOnUiThread(action: Runnable) {}

    fun <I, O> registerForActivityResult(
        contract: ActivityResultContract<I, O>, callback: (O) -> Unit,
    ): ActivityResultLauncher<I> = TODO()
}
