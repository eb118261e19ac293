@file:Suppress("UNUSED_PARAMETER", "unused")

package org.json

class JSONObject(text: String) {
    fun getJSONArray(name: String): JSONArray = TODO()

    fun getJSONObject(name: String): JSONObject = TODO()

    fun optJSONObject(name: String): JSONObject? = TODO()

    fun getString(name: String): String = TODO()

    fun getDouble(name: String): Double = TODO()
}

class JSONArray {
    fun length(): Int = TODO()

    fun getJSONObject(index: Int): JSONObject = TODO()

    fun getDouble(index: Int): Double = TODO()
}
