package uidledger

import (
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Wanted by internal/mail/index, to be filled in by whoever writes this room:
//
//  1. Stays and RegistersOf below: a message is in the folder of its newest stay, so whoever begins must know
//     the stays that every folder's ledger has, shown or not.
//  2. HeadID such that it sorts before the ChunkIDs of the folder (an "a" in place of "h", say): the objects of an
//     owner are read in the order of their ids, and the head must come first.

// Stays yields, of each message that the ledger knows, its newest stay in this folder, and whether it was
// expunged (deleted for good). A message that departed to another folder is yielded too.
func (m *Manager) Stays(yield func(id mail.MessageID, stay cluster.Timestamp, expunged bool)) {}

// RegistersOf gives all flags of a message as last written, also those taken away, shown or not.
func (m *Manager) RegistersOf(id mail.MessageID) []Register { return nil }
