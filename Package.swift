// swift-tools-version: 6.2
import PackageDescription

/// Our own targets are built in Swift 6 language mode. The gate sets `ALD_WARNINGS_AS_ERRORS=1`: a warning that
/// nobody reads is a defect, but it must not stop somebody who builds with a newer compiler.
let strict = Context.environment["ALD_WARNINGS_AS_ERRORS"] == "1"
let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")

func suite(_ name: String, path: String? = nil, exclude: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: ["ALDCore", "ALDTestKit", "Modbus", "ScenarioCase"], path: path, exclude: exclude,
        swiftSettings: settings)
}

let package = Package(
    name: "ALDCore",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Modbus", targets: ["Modbus"]),
        .library(name: "ALDCore", targets: ["ALDCore"]),
        .library(name: "ALDTestKit", targets: ["ALDTestKit"]),
        .executable(name: "ald", targets: ["ald"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibPQ", pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"]), .brew(["libpq"])]),
        .systemLibrary(
            name: "CZlib", pkgConfig: "zlib",
            providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        .target(
            name: "Modbus",
            dependencies: [deque, nioCore, nioPosix, nioSSL, log],
            swiftSettings: settings),
        .target(
            name: "ALDCore",
            dependencies: [
                "CLibPQ", "CZlib", "Modbus", deque, heap, lifecycle, log, nioCore,
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "Yams", package: "Yams"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
            swiftSettings: settings),
        .target(
            name: "ALDTestKit",
            dependencies: [
                "ALDCore", "Modbus", heap, lifecycle, log,
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            // In the program: scenarios run also where there is no checkout.
            resources: [.embedInCode("Recording/machine-51.csv")],
            swiftSettings: settings),
        .target(
            name: "ScenarioCase", dependencies: ["ALDTestKit"], path: "Tests/ScenarioCase", swiftSettings: settings),
        .executableTarget(
            name: "ald",
            dependencies: [
                "ALDCore", "ALDTestKit", "Modbus", lifecycle, log, nioCore,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ModbusTests", dependencies: ["Modbus", "ALDTestKit", nioCore, nioEmbedded, nioPosix, nioSSL],
            swiftSettings: settings),
        .testTarget(
            name: "ALDCoreTests",
            dependencies: [
                "ALDCore", "ALDTestKit", "Modbus", "ald", log,
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ALDTestKitTests", dependencies: ["ALDTestKit", "ALDCore", "Modbus"], swiftSettings: settings),
        suite("StressDatabase"),
        suite("StressPLC"),
        suite("Stability"),
        suite("FailureInjection"),
        suite("Benchmarks", path: "Benchmarks", exclude: ["Peers"]),
    ]
)
