// Package archive keeps copies of hard state outside the cluster, and brings back what the cluster
// has lost. Replication is not backup: a deletion by mistake reaches every replica in a moment.
//
// # A backup directory
//
// A backup directory may serve any number of nodes. Each has a folder named after its id:
//
//	NODE/lock                       held while a backup of the node is made
//	NODE/20261122T030000.000Z.json  a manifest: one generation, one moment of the node's store
//	NODE/files/NAME-SUM             the files of the store, named by name and checksum
//
// A generation is its manifest: the list of the store's files, each with size and SHA-256. The files are
// shared among generations. The engine's tables never change once they are written, so a table that
// an earlier generation has is neither read nor copied again: a backup costs what is new.
//
// # Duties and their order
//
// [Backup] copies a directory that no longer changes: a store's checkpoint, which the caller makes
// before and removes after. The manifest is written last, AFTER everything it names is on disk and
// synced: a backup that was interrupted has no manifest, and is never taken for a whole one. Files
// that no manifest names are removed by the next backup, BEFORE it begins.
//
// [Verify] reads everything that the manifests name. [Clone] makes a store directory of its own out of a
// generation, or out of a store that was set aside: opening a store changes it, and neither may.
//
// [Injector] compares a store opened from a clone with a live cluster, owner by owner, and gives the
// cluster what it lacks, as new updates of the old objects: nothing that is there is ever overwritten,
// and doing it twice does it once. It knows of objects only; whether they are mail is not its matter.
package archive
