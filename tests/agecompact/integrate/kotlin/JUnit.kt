package org.junit

annotation class Test

object Assert {
    fun assertTrue(message: String, condition: Boolean) {
        if (!condition) throw AssertionError(message)
    }
}
