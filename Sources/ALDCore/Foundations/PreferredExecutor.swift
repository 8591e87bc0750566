/// Where the tasks run that a task creates, beside its children: the language hands the preferred executor on to children
/// only.
package enum PreferredExecutor {
    /// `nil`, the default, is the shared one. A simulated world sets its own.
    @TaskLocal package static var current: (any TaskExecutor)?
}
