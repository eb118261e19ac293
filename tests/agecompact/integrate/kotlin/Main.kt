import com.example.facemodel.CROPS
import com.example.facemodel.Picture
import com.example.facemodel.PreprocessingTest
import com.example.facemodel.pixels
import com.example.facemodel.tensor
import java.io.File
import java.lang.reflect.InvocationTargetException
import javax.imageio.ImageIO

/** Runs every JVM test, as JUnit would, and prints the tensor of a golden image. */
fun main() {
    val tests = PreprocessingTest::class.java.declaredMethods
        .filter { it.isAnnotationPresent(org.junit.Test::class.java) }
        .sortedBy { it.name }
    for (test in tests) {
        try {
            test.invoke(PreprocessingTest())
            println("passed ${test.name}")
        } catch (error: InvocationTargetException) {
            println("failed ${test.name}: ${error.targetException.message}")
        }
    }
    val image = ImageIO.read(File("../app/src/androidTest/assets/exact.png"))
    val argb = image.getRGB(0, 0, image.width, image.height, null, 0, image.width)
    val chip = Picture(image.width, image.height, argb)
    println(tensor(pixels(chip, CROPS.first())).joinToString(" "))
}
