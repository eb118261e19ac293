package com.example.facemodel

import android.graphics.BitmapFactory
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** Pictures before any preprocessing, with the right answers for them. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()
    private val assets = instrumentation.context.assets
    private val golden = JSONObject(assets.open("golden.json").reader().readText())

    @Test
    fun answersAreRight() {
        val failures = mutableListOf<String>()
        FaceModel(instrumentation.targetContext).use { model ->
            for (image in golden.getJSONArray("images").objects()) {
                val file = image.getString("file")
                for ((name, answers) in model.answers(chip(image))) {
                    val right = image.getJSONObject("answers").getJSONArray(name).numbers()
                    if (distance(answers, right) > tolerance(name)) {
                        failures += "$file: $name is $answers, not $right${likelyMistake(file, name, answers)}"
                    }
                }
            }
        }
        assertTrue(failures.joinToString("\n"), failures.isEmpty())
    }

    private fun chip(image: JSONObject): Picture {
        val picture = assets.open(image.getString("file")).use(BitmapFactory::decodeStream).toPicture()
        val landmarks = image.optJSONObject("landmarks") ?: return picture
        fun point(name: String): Point {
            val (x, y) = landmarks.getJSONArray(name).numbers()
            return Point(x, y)
        }
        return frame(picture, point("left_eye"), point("right_eye"), point("mouth"))
    }

    /** The usual mistake that gives nearly these answers. */
    private fun likelyMistake(file: String, name: String, answers: List<Double>): String {
        val (mistake, apart) = golden.getJSONArray("mistakes").objects().map {
            val wrong = it.getJSONObject("answers").getJSONObject(file).getJSONArray(name).numbers()
            it.getString("mistake") to distance(answers, wrong)
        }.minByOrNull { it.second } ?: return ""
        return if (apart <= 4 * tolerance(name)) ", as if $mistake" else ""
    }

    private fun tolerance(name: String) = golden.getJSONObject("tolerances").getDouble(name)
}

private fun distance(a: List<Double>, b: List<Double>) = a.zip(b) { x, y -> abs(x - y) }.max()

private fun JSONArray.objects() = List(length()) { getJSONObject(it) }

private fun JSONArray.numbers() = List(length()) { getDouble(it) }
