@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.camera.view

import android.content.Context
import android.widget.View
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.lifecycle.LifecycleOwner
import java.util.concurrent.Executor

class PreviewView(context: Context) : View(context) {
    var controller: LifecycleCameraController? = null
}

class LifecycleCameraController(context: Context) {
    var cameraSelector: CameraSelector = CameraSelector.DEFAULT_FRONT_CAMERA
    var imageAnalysisBackpressureStrategy: Int = 0

    fun setImageAnalysisAnalyzer(executor: Executor, analyzer: ImageAnalysis.Analyzer) {}

    fun bindToLifecycle(owner: LifecycleOwner) {}
}
