package index

import (
	"encoding/binary"

	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// newLife is what tells one ledger in memory from all others that there ever are (uidledger.Config.Life).
func newLife() uint64 {
	id := mail.NewMessageID() // drawn at random
	return max(binary.BigEndian.Uint64(id[:]), 1)
}

// markOf is what a session that is told of this view has shown.
func markOf(v *uidledger.View) talk.Mark {
	return talkMark(v.Mark())
}

// talkMark puts a mark into the form of a question or answer. Seen has what only ledgers understand, each in eight octets: the sums of what is
// skipped, the sum of what is known, and the ledger's life.
func talkMark(k uidledger.Mark) talk.Mark {
	seen := make([]byte, 0, 8*(len(k.Sum)+2))
	for _, sum := range k.Sum {
		seen = binary.BigEndian.AppendUint64(seen, sum)
	}
	seen = binary.BigEndian.AppendUint64(seen, k.Known)
	seen = binary.BigEndian.AppendUint64(seen, k.Life)
	return talk.Mark{Validity: k.UIDValidity, Next: k.UIDNext, ModSeq: k.ModSeq, Seen: string(seen)}
}

// ledgerMark reads what talkMark has written. An older version told the sums of what is skipped alone.
func ledgerMark(m *talk.Mark) uidledger.Mark {
	k := uidledger.Mark{UIDValidity: m.Validity, UIDNext: m.Next, ModSeq: m.ModSeq}
	seen := []byte(m.Seen)
	if len(seen) != 8*len(k.Sum) && len(seen) != 8*(len(k.Sum)+2) {
		return k
	}
	for i := range k.Sum {
		k.Sum[i], seen = binary.BigEndian.Uint64(seen), seen[8:]
	}
	if len(seen) > 0 {
		k.Known, k.Life = binary.BigEndian.Uint64(seen), binary.BigEndian.Uint64(seen[8:])
	}
	return k
}
