package uidledger

import (
	"fmt"

	"porcupine/internal/cluster"
)

// Step is the next thing to do: requests, or objects to be written.
type Step struct {
	Ask   []Ask              // to be sent to all at once; then Answered
	Write []Object           // to be made durable on every node of On; then Written
	On    cluster.ReplicaSet // the objects themselves lie on all nodes of Manager.Set, or will when they can be reached
}

// Ask is one request to one replica.
type Ask struct {
	Node    cluster.NodeID
	Request Request
}

// Object is one object to write: its contents are joined to what is there.
type Object struct {
	ID       string
	Contents []byte
}

// Answer is what came of an Ask.
type Answer struct {
	Node  cluster.NodeID
	Reply Reply
	Err   error // no answer: the node counts as lost
}

// Next gives the next step towards all that is wanted being shown. false: there is none now; see Waiting. A step is
// taken to its end, Answered or Written, before Next is called again.
func (m *Manager) Next() (Step, bool) {
	if m.flight != idle {
		return Step{}, false
	}
	if !m.running {
		m.running, m.waiting, m.asking, m.vote.tries = true, nil, asking{}, 0
	}
	step, ok := m.next()
	if !ok {
		m.running = false
	}
	return step, ok
}

func (m *Manager) next() (Step, bool) {
	if m.reach == 0 {
		if m.wanted() {
			m.wait(cluster.KindUnavailable, "no ledger replica can be reached")
		}
		return Step{}, false
	}
	for m.wanted() {
		if step, ok := m.voteStep(); ok {
			return step, true
		}
		full := m.full()
		if !full {
			if step, ok := m.stage(); ok {
				return step, true
			}
		}
		if m.set.UIDValidity != m.config.First.UIDValidity && m.announced&m.reach != m.reach {
			// Nobody could read chunks of a UIDVALIDITY that no head has: the head comes BEFORE them.
			return m.giveHead(), true
		}
		if step, ok := m.writeChunks(); ok {
			return step, true
		}
		if full {
			if m.headLevel&m.reach != m.reach {
				return m.giveHead(), true // as it is: before there is a vote, all have all
			}
			m.wait(cluster.KindLimit, "%d ranges of UIDs are skipped, and no more can be kept: the folder needs a new UIDVALIDITY", len(m.head.Shown[UIDs].Skipped))
			return Step{}, false
		}
		if m.unsettled || len(m.fixes) > 0 {
			return Step{}, false // what was read must not be shown as it is
		}
		if step, ok := m.writeHead(); ok {
			return step, true
		}
		m.show()
		if m.waiting != nil {
			return Step{}, false
		}
	}
	return Step{}, false
}

// wanted reports whether anything is not done.
func (m *Manager) wanted() bool {
	return m.unsettled || len(m.fixes)+len(m.wishes)+len(m.pending.at)+len(m.dirty)+len(m.stale) > 0 ||
		m.headLevel&m.reach != m.reach || !m.head.Set.equal(&m.set) || m.want.wanted(m) || m.vote.phase != 0 || m.lags() || !m.view.opened
}

// lags reports whether a node that is reached lacks a chunk.
func (m *Manager) lags() bool {
	if m.flight != idle {
		return true
	}
	for _, c := range m.order {
		if c.work != nil && c.level&m.reach != m.reach {
			return true
		}
	}
	return false
}

func (m *Manager) wait(kind cluster.Kind, format string, args ...any) {
	if m.waiting == nil {
		m.waiting = cluster.Errorf(kind, fmt.Sprintf("give UIDs in folder %v", m.config.Folder), format, args...)
	}
}

// Waiting says why something that is wanted is not done: KindUnavailable (no replica can be reached, or none gives
// numbers until a majority is there), or KindLimit (no UIDs are left, or too many ranges of them are skipped: Renew). nil: all is shown. The next call of Next
// tries again.
func (m *Manager) Waiting() error { return m.waiting }

// full reports whether the head has as many ranges of skipped UIDs as it may. Nothing new is brought into the work then: it would make
// more of them, and a head that is too large can be written nowhere.
func (m *Manager) full() bool { return len(m.head.Shown[UIDs].Skipped) > m.rangesFull }

// stage brings fixes, wishes and pending messages into the work, when there are numbers for them.
func (m *Manager) stage() (Step, bool) {
	if m.unsettled {
		m.settle()
	}
	if len(m.fixes)+len(m.wishes)+len(m.pending.at) == 0 {
		return Step{}, false
	}
	if need := m.pull(); m.left(ModSeqs) < need {
		if step, ok := m.askNumbers(ModSeqs, need); ok {
			return step, true
		}
		if m.left(ModSeqs) < need {
			return Step{}, false // it waits
		}
	}
	m.batch++
	m.mend()
	m.apply()
	if need := uint64(len(m.pending.at)); m.left(UIDs) < need {
		if step, ok := m.askNumbers(UIDs, need); ok {
			return step, true
		}
	}
	m.assign()
	return Step{}, false
}

// writeChunks gives the chunks that a node lacks, old ones too: BEFORE anything new is shown, every node that is
// reached has all that was shown before (L6). Many are given in several steps.
func (m *Manager) writeChunks() (Step, bool) {
	m.replaceStale()
	m.writing = m.writing[:0]
	step := Step{On: m.Reached()}
	for _, c := range m.order {
		if c.work == nil || c.level&m.reach == m.reach {
			continue
		}
		if len(step.Write) == m.chunksOnce {
			break
		}
		m.writing = append(m.writing, c)
		step.Write = append(step.Write, Object{ID: ChunkID(m.config.Folder, c.number), Contents: c.work.marshal(m.names)})
	}
	if len(step.Write) == 0 {
		return Step{}, false
	}
	m.flight = writingChunks
	return step, true
}

// replaceStale puts empty chunks in the place of those of an older UIDVALIDITY. They are not removed: another manager may
// have written them anew already, and a chunk joins with an empty one to what it was.
func (m *Manager) replaceStale() {
	for number := range m.stale { // the order is no matter: the cells are in one of their own
		if c := m.cell(number); c.work == nil {
			c.work = &chunk{uidValidity: m.set.UIDValidity, number: number}
			m.markDirty(c)
		}
	}
	clear(m.stale)
}

// writeHead gives the head: AFTER all chunks are durable, BEFORE anything is shown (L4).
func (m *Manager) writeHead() (Step, bool) {
	m.publish()
	if m.headLevel&m.reach == m.reach {
		return Step{}, false
	}
	return m.giveHead(), true
}

func (m *Manager) giveHead() Step {
	m.flight = writingHead
	return Step{On: m.Reached(), Write: []Object{{ID: HeadID(m.config.Folder), Contents: m.head.Marshal()}}}
}

// Written says on which nodes all objects of the last step are durable. Nodes of On that are missing count as lost:
// perhaps they have some of it.
func (m *Manager) Written(durable cluster.ReplicaSet) {
	was := m.flight
	m.flight = idle
	for _, node := range m.Reached() {
		if !durable.Contains(node) {
			m.Lost(node)
		}
	}
	switch was {
	case writingChunks:
		for _, c := range m.writing {
			c.level |= m.reach
		}
	case writingHead:
		m.headLevel |= m.reach
		m.announced |= m.reach
	}
	if m.reach == 0 {
		m.wait(cluster.KindUnavailable, "no ledger replica can be reached any more")
	}
}
