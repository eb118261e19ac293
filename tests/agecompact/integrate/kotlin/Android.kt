// What the app uses of Android, so that its sources compile without an SDK. Nothing here runs.
@file:Suppress("UNUSED_PARAMETER", "unused")

package android

class Manifest {
    object permission {
        const val CAMERA = "android.permission.CAMERA"
    }
}
