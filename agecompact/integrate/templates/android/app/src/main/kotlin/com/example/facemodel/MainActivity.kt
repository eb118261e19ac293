package com.example.facemodel

import android.Manifest
import android.graphics.Bitmap
import android.graphics.Matrix
import android.os.Bundle
import android.widget.FrameLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.view.LifecycleCameraController
import androidx.camera.view.PreviewView
import java.util.concurrent.Executors

/** Shows the camera, and the model's answers for the largest face. */
class MainActivity : ComponentActivity() {
    private val executor = Executors.newSingleThreadExecutor()
    private val finder by lazy { FaceFinder() }
    private val model by lazy { FaceModel(this) }
    private lateinit var preview: PreviewView
    private lateinit var text: TextView

    private val permission = registerForActivityResult(ActivityResultContracts.RequestPermission()) {
        if (it) start() else text.text = "This app needs the camera."
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        preview = PreviewView(this)
        text = TextView(this).apply { textSize = 24f }
        setContentView(FrameLayout(this).apply {
            addView(preview)
            addView(text)
        })
        permission.launch(Manifest.permission.CAMERA)
    }

    private fun start() {
        val camera = LifecycleCameraController(this)
        camera.cameraSelector = CameraSelector.DEFAULT_FRONT_CAMERA
        camera.imageAnalysisBackpressureStrategy = ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST
        camera.setImageAnalysisAnalyzer(executor) { image -> image.use(::analyse) }
        camera.bindToLifecycle(this)
        preview.controller = camera
    }

    private fun analyse(image: ImageProxy) {
        val chip = finder.chip(image.upright())
        val shown = chip?.let(model::answers)?.entries?.joinToString("\n") { (name, values) ->
            "$name ${values.joinToString { "%.1f".format(it) }}"
        }
        runOnUiThread { text.text = shown ?: "No face" }
    }

    override fun onDestroy() {
        super.onDestroy()
        executor.execute {
            model.close()
            finder.close()
        }
        executor.shutdown()
    }
}

/** The frame turned as the device is held: sensors are mounted sideways, and the model is not. */
private fun ImageProxy.upright(): Bitmap {
    val bitmap = toBitmap()
    val turn = Matrix().apply { postRotate(imageInfo.rotationDegrees.toFloat()) }
    return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, turn, true)
}
