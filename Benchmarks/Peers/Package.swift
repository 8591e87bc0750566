// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Not part of the main package, so that nobody who uses the library builds its benchmarks. `run` and `postgres` build
/// and start it.
let package = Package(
    name: "Peers",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "ALDCore", path: "../.."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "ProcessUse", path: "Sources/process-use", swiftSettings: settings),
        .executableTarget(
            name: "modbus-peers", dependencies: ["ProcessUse", .product(name: "Modbus", package: "ALDCore")],
            swiftSettings: settings),
        .executableTarget(
            name: "postgres-peers",
            dependencies: [
                "ProcessUse", .product(name: "ALDCore", package: "ALDCore"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
    ]
)
