import Foundation

/// The user as whom servers run that refuse to be root.
struct ServerAccount: Sendable {
    let name: String
    let userID: uid_t
    let groupID: gid_t
    let prefix: [String]

    static func current() throws -> ServerAccount {
        guard geteuid() == 0 else {
            return ServerAccount(name: NSUserName(), userID: geteuid(), groupID: getegid(), prefix: [])
        }
        for name in ["postgres", "nobody"] {
            guard let entry = getpwnam(name) else { continue }
            let (user, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
            #if os(Linux)
                let prefix = ["setpriv", "--reuid=\(user)", "--regid=\(group)", "--clear-groups", "--"]
            #else
                let prefix = ["sudo", "-n", "-u", name, "--"]
            #endif
            return ServerAccount(name: name, userID: user, groupID: group, prefix: prefix)
        }
        throw NeverHappened(description: "root, but there is neither a user postgres nor nobody")
    }

    func own(_ path: String) throws {
        guard geteuid() == 0, lchown(path, userID, groupID) != 0 else { return }
        throw NeverHappened(description: "cannot give \(path) to \(name): \(String(cString: strerror(errno)))")
    }
}
