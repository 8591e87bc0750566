extension Batch {
    /// A batch that was not in a spool: its digest is that of its records.
    package init(id: BatchID, machine: Int32, records: Records) {
        let (format, bytes) = BatchCoding.encode(records)
        self.init(
            id: id, machine: machine, records: records,
            digest: BatchCoding.digest(machine: machine, format: format.rawValue, bytes: bytes))
    }
}
