package org.junit.runner

import kotlin.reflect.KClass

annotation class RunWith(val runner: KClass<*>)
