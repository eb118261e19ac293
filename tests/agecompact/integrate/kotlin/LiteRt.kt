@file:Suppress("UNUSED_PARAMETER", "unused")

package com.google.ai.edge.litert

import android.content.res.AssetManager

class TensorBuffer : AutoCloseable {
    fun writeFloat(data: FloatArray) {}

    fun writeInt8(data: ByteArray) {}

    fun readFloat(): FloatArray = TODO()

    override fun close() {}
}

class Environment

class CompiledModel private constructor() : AutoCloseable {
    class Options {
        companion object {
            @JvmStatic val CPU = Options()
        }
    }

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer = TODO()

    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer = TODO()

    fun run(
        inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String? = null,
    ) {}

    override fun close() {}

    companion object {
        @JvmOverloads
        @JvmStatic
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options.CPU,
            optionalEnv: Environment? = null,
        ): CompiledModel = TODO()
    }
}
