import CoreGraphics
import Vision

/// Finds the largest face in an upright image and frames it; nil if there is none.
public func findFace(in image: CGImage) throws -> Picture? {
    let request = VNDetectFaceLandmarksRequest()
    try VNImageRequestHandler(cgImage: image).perform([request])
    let largest = request.results?.max { $0.boundingBox.width < $1.boundingBox.width }
    guard let landmarks = largest?.landmarks, let photo = Picture(image),
        let oneEye = landmarks.leftEye, let otherEye = landmarks.rightEye,
        let lips = landmarks.outerLips
    else { return nil }
    let size = CGSize(width: image.width, height: image.height)
    // Sorted, whosever left is meant; the model's is that of the picture.
    let eyes = [centre(oneEye, size), centre(otherEye, size)].sorted { $0.x < $1.x }
    return frame(photo, leftEye: eyes[0], rightEye: eyes[1], mouth: centre(lips, size))
}

/// The mean of a region's points. Vision counts from the lower edge, and the model from the upper.
private func centre(_ region: VNFaceLandmarkRegion2D, _ size: CGSize) -> Point {
    let points = region.pointsInImage(imageSize: size)
    let sum = points.reduce(CGPoint.zero) { CGPoint(x: $0.x + $1.x, y: $0.y + $1.y) }
    let count = CGFloat(points.count)
    return Point(x: Double(sum.x / count), y: Double(size.height - sum.y / count))
}
