// swift-tools-version: 6.2
import PackageDescription

/// Not part of the main package, so that nobody who uses the library builds its benchmarks. `run` builds and starts it.
let package = Package(
    name: "Peers",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "ALDCore", path: "../..")],
    targets: [
        .executableTarget(
            name: "modbus-peers",
            dependencies: [.product(name: "Modbus", package: "ALDCore")],
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("InternalImportsByDefault"),
            ])
    ]
)
