package uidledger

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// TestC1_EmptyFolderGoesOn: a session that was shown an empty folder goes on, at this manager and at another one, when
// its first message comes, also under a lane lease, and when old modification sequences are given anew.
func TestC1_EmptyFolderGoesOn(t *testing.T) {
	for _, away := range []cluster.ReplicaSet{nil, cluster.NewReplicaSet(1, 2)} {
		b := newBench(t, 1, 2, 3)
		m := b.open()
		mark := m.View().Mark()
		for _, id := range away {
			m.Lost(id)
		}
		b.away = away
		m.Arrive(arrivals(0, 1)...)
		b.run(m)
		if v := m.View(); v.Len() != 1 || !v.Continues(mark) {
			t.Errorf("without %v: %d messages, the session goes on %t", away, v.Len(), v.Continues(mark))
		}
		again := b.open()
		if !again.View().Continues(mark) || len(again.View().VanishedSince(mark.ModSeq, nil)) != 0 {
			t.Errorf("without %v: the session does not go on at another manager", away)
		}
		again.rebased = again.top[ModSeqs] + 1 // as for a list of skipped numbers that is too long
		again.Arrive(arrivals(1, 1)...)
		b.run(again)
		if !again.View().Continues(mark) || again.View().UIDNext() <= mail.UID(2) {
			t.Errorf("without %v: the session does not go on when modification sequences were given anew", away)
		}
	}
}
