extension LandingAudit {
    /// Notes what is lost or doubled; whatever else is wrong with the records is a problem of the run.
    func note(_ run: ScenarioRun) {
        for problem in problems { run.fail(problem) }
        run.note("records", count: promised)
        run.note("lost or doubled", count: lostOrDoubled)
    }
}
