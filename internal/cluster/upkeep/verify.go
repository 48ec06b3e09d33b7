package upkeep

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// verifyAtOnce are the buckets of one question of Verify to a member.
const verifyAtOnce = bucketsMax

// Times of Verify.
const (
	VerifyWaitDefault = 30 * time.Second // for the update logs to be empty, and what changed of late to be old enough
	verifyPoll        = 250 * time.Millisecond
	verifyRest        = time.Second      // between one that could not be carried out and the next try
	verifyTimeout     = 15 * time.Minute // of one question: a bucket's contents may be many
)

// VerifyOptions say how thorough a Verify is.
type VerifyOptions struct {
	Contents bool // read all contents on every node too
	// Wait is for the update logs to be empty, for what has just changed to be QuietAfter old, and for the view to stay
	// as it is; 0: VerifyWaitDefault.
	Wait time.Duration
}

// Verification is what Verify found in the whole cluster.
type Verification struct {
	CheckReport
	Members int `json:"members"`
	Owed    int `json:"owed"` // updates that some member had not heard of when the waiting was over
	// Complete says that all was compared that was there when Verify began. What is Young then came later; if it is not
	// Complete, what is Young may have been there.
	Complete bool `json:"complete"`
	OK       bool `json:"ok"` // complete, nothing owed, and no fault of any kind
}

// Verify has every member compare all its buckets with the others, at once, after waiting for the
// update logs to be empty but for absent nodes, and for what was there when it began to be QuietAfter old: what is
// younger is not compared. Divergences are mended as they are found. The error
// says that it could not be carried out in full: a member did not answer, the view changed. Until
// VerifyOptions.Wait is over it is tried again then.
func (u *Upkeep) Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	if o.Wait <= 0 {
		o.Wait = VerifyWaitDefault
	}
	began := time.Now()
	until := began.Add(o.Wait)
	for {
		result, err := u.verify(ctx, o.Contents, began, until)
		// To read all contents once more for some updates that waited is too much.
		again := err != nil || result.Waiting > 0 && !o.Contents
		if !again || time.Until(until) < verifyRest || !sleep(ctx, verifyRest) {
			return result, err
		}
	}
}

// verify tries once.
func (u *Upkeep) verify(ctx context.Context, contents bool, began, until time.Time) (Verification, error) {
	v := u.node.View()
	result := Verification{Members: len(v.Members)}
	var err error
	if result.Owed, err = u.awaitRest(ctx, v, until); err != nil {
		return result, err
	}
	quiet, err := u.awaitQuiet(ctx, v, began, until)
	if err != nil {
		return result, err
	}
	reports := make([]CheckReport, len(v.Members))
	errs := make([]error, len(v.Members))
	var work sync.WaitGroup
	for i, m := range v.Members {
		work.Go(func() { errs[i] = u.verifyAt(ctx, m.ID, contents, &reports[i]) })
	}
	work.Wait()
	for i := range reports {
		result.add(&reports[i])
		if errs[i] != nil {
			return result, fmt.Errorf("verify node %s: %w", v.Members[i].ID, errs[i])
		}
	}
	if u.node.View().Epoch != v.Epoch {
		return result, cluster.Errorf(cluster.KindUnavailable, "verify", "the view changed meanwhile: run it again")
	}
	result.Complete = result.Waiting == 0 && (quiet || result.Young == 0)
	result.OK = result.Complete && result.Owed == 0 && result.Divergences == 0 && result.UnderReplicated == 0 && result.Damaged == 0
	return result, nil
}

// verifyAt has one member check all buckets.
func (u *Upkeep) verifyAt(ctx context.Context, member cluster.NodeID, contents bool, total *CheckReport) error {
	flag, step := byte(0), verifyAtOnce
	if contents {
		flag, step = 1, 1 // to read one bucket of a full disk is enough for one question
	}
	for first := 0; first < cluster.BucketCount; first += step {
		payload := append([]byte{flag}, span{cluster.Bucket(first), step}.marshal()...)
		ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
		answer, err := u.node.Tell(ctx, member, methodCheck, payload)
		cancel()
		if err != nil {
			return err
		}
		var report CheckReport
		if err := json.Unmarshal(answer, &report); err != nil {
			return cluster.Errorf(cluster.KindInvalid, methodCheck, "%w", err)
		}
		total.add(&report)
	}
	return nil
}

// awaitRest waits until no member owes another an update, until that moment at most, and says how many are
// owed then.
func (u *Upkeep) awaitRest(ctx context.Context, v *cluster.View, until time.Time) (owed int, err error) {
	for {
		owed = 0
		for _, m := range v.Members {
			s, err := u.StatusOf(ctx, m.ID)
			if err != nil {
				return owed, fmt.Errorf("status of node %s: %w", m.ID, err)
			}
			owed += s.Owed
		}
		if owed == 0 || !time.Now().Before(until) {
			return owed, nil
		}
		if !sleep(ctx, verifyPoll) {
			return owed, cluster.Errorf(cluster.KindUnavailable, "verify", "%w", context.Cause(ctx))
		}
	}
}

// StatusOf gives a member's Status.
func (u *Upkeep) StatusOf(ctx context.Context, member cluster.NodeID) (s Status, err error) {
	if member == u.node.ID() {
		return u.Status(), nil
	}
	answer, err := u.tell(ctx, member, methodStatus, nil)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(answer, &s); err != nil {
		return s, cluster.Errorf(cluster.KindInvalid, methodStatus, "%w", err)
	}
	return s, nil
}

// DrainAt has a member drain, or end that: Drain on that node.
func (u *Upkeep) DrainAt(ctx context.Context, member cluster.NodeID, on bool) error {
	payload := []byte("0")
	if on {
		payload = []byte("1")
	}
	_, err := u.tell(ctx, member, methodDrain, payload)
	return err
}
