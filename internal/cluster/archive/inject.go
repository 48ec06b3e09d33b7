package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// Limits of an injection.
const (
	WorkersMax  = 64 // objects on their way at once
	RateDefault = 32 << 20
	// objectCost is what an object weighs beside its contents, in bytes, when the rate is kept.
	objectCost = 4 << 10
)

// Has is what the live cluster has of an owner.
type Has struct {
	// Knowledge of the owner's manager. Below Complete what is not in Objects may lie on a member
	// all the same; below Conclusive a cached object may.
	Knowledge cluster.Knowledge
	// Floor: an object that is no profile and not newer belonged to a former owner of the name. Zero: none.
	Floor   cluster.Timestamp
	Objects []Known // tombstones of cached types included; any order
}

// Known is one object that the cluster has.
type Known struct {
	ID        cluster.ObjectID
	Timestamp cluster.Timestamp
	Deleted   bool // a tombstone
}

// Live is the cluster that lacks something: a running node.
type Live interface {
	Has(ctx context.Context, owner string) (Has, error)
	// Put makes the object exist, with the same id, contents, attributes and wanted copies. Where it
	// lies, and its timestamp, are the cluster's to choose. KindExists: it is there now.
	Put(ctx context.Context, o cluster.Object, body io.Reader) error
}

// Injector gives a live cluster what a store has and it lacks.
//
// An object is injected if the cluster has none of its id. One of which the cluster has a tombstone stays
// deleted, unless Deleted is set. Objects that are no profiles (mail, folders) are injected only for owners
// that have one, there or injected: nobody could reach them.
// A deletion of mail leaves no trace for long, so mail that was deleted after the store's moment is
// lacking too, and comes back: DryRun shows it first.
type Injector struct {
	Store Store
	Live  Live
	// Profile tells the types whose objects say that their owner exists.
	Profile func(t cluster.ObjectType) bool
	// Wants selects owners; nil: all. An owner that is not wanted is not looked up.
	Wants func(owner string) bool
	// Stays selects objects that are not injected whatever lacks, as if the store had none of them; nil: none.
	Stays   func(id cluster.ObjectID) bool
	Deleted bool // bring back what was deleted by an update later than the store's
	DryRun  bool // change nothing
	// Rate bounds the contents sent, in bytes a second, objects themselves counted a little; 0:
	// RateDefault.
	Rate    int64
	Workers int // 0: 8
	// Tally counts objects over several runs; nil: over this one. With DryRun it also remembers whose
	// profiles earlier runs would have injected.
	Tally *Tally
	// Owner is called for each owner that was looked at, with what became of its objects. It may be nil.
	Owner func(owner string, n Injected)
	// Report is called for every object that is (or would be) injected, Failed for what could not
	// be; with DryRun for each object once in a Tally. Not at the same time. Either may be nil.
	Report func(o cluster.Object)
	Failed func(what string, err error)
	// Pause waits; nil: in real time.
	Pause func(ctx context.Context, d time.Duration) error

	mu     sync.Mutex
	result Injected
}

// Injected counts what became of the store's objects.
type Injected struct {
	Owners    int   // looked at
	Removed   int   // of them, removed in the cluster since (users, aliases, domains), and left so
	Objects   int   // of them, tombstones not counted
	Present   int   // the cluster has them
	Put       int   // injected, or lacking if it was a dry run
	Bytes     int64 // of those
	StayGone  int   // deleted in the cluster, and left so
	Ownerless int   // nobody has a profile for them
	Failed    int   // damaged in the store, or refused by the cluster
}

// Run goes through the whole store. It may be ended and begun again at any time: what is injected is
// there. An error ends it; a single object or owner that fails is counted and does not.
func (in *Injector) Run(ctx context.Context) (Injected, error) {
	if in.Workers == 0 {
		in.Workers = 8
	}
	if in.Workers < 1 || in.Workers > WorkersMax || in.Rate < 0 {
		return Injected{}, cluster.Errorf(cluster.KindInvalid, "inject", "%d workers (1 to %d), %d bytes a second", in.Workers, WorkersMax, in.Rate)
	}
	if in.Rate == 0 {
		in.Rate = RateDefault
	}
	if in.Pause == nil {
		in.Pause = pause
	}
	if in.Tally == nil {
		in.Tally = NewTally()
	}
	for b := range cluster.BucketCount {
		list, err := owners(in.Store, cluster.Bucket(b))
		if err != nil {
			in.fail(nil, fmt.Sprintf("bucket %d", b), err)
			continue
		}
		for i := range list {
			if err := in.owner(ctx, &list[i]); err != nil {
				return in.sum(), err
			}
		}
	}
	return in.sum(), nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func (in *Injector) sum() Injected {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.result
}

func (in *Injector) count(f func(r *Injected)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f(&in.result)
}

// fail counts and tells what could not be injected. o is nil if it is no single object.
func (in *Injector) fail(o *cluster.Object, what string, err error) {
	if o == nil {
		in.Tally.fault()
	} else {
		in.Tally.note(o, fateFailed)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.result.Failed++
	if in.Failed != nil {
		in.Failed(what, err)
	}
}

// owner injects what lacks of one owner. An error ends the run.
func (in *Injector) owner(ctx context.Context, h *cluster.Holding) error {
	if in.Wants != nil && !in.Wants(h.Owner) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return cluster.Errorf(cluster.KindUnavailable, "inject", "interrupted: do it again to go on: %w", context.Cause(ctx))
	}
	before := in.sum()
	in.count(func(r *Injected) { r.Owners++ })
	have, err := objects(in.Store, h)
	if err != nil {
		in.fail(nil, h.Owner, err)
		return nil
	}
	has, err := in.Live.Has(ctx, h.Owner)
	if err != nil {
		return fmt.Errorf("inject: what the cluster has of %s: %w", h.Owner, err)
	}
	if has.Knowledge < cluster.Complete {
		return cluster.Errorf(cluster.KindUnavailable, "inject", "the cluster does not know yet what it has of %s: wait until 'porcupine status' shows no incomplete buckets, then do it again", h.Owner)
	}
	p := newPlan(in, have, &has)
	in.count(func(r *Injected) {
		r.Objects += p.objects
		r.Present += p.present
		r.StayGone += p.stayGone
		r.Ownerless += p.ownerless
		if p.removed {
			r.Removed++
		}
	})
	in.Tally.met(h.Owner, false, p.removed)
	// Profiles BEFORE mail: mail without a profile is lost to its owner.
	if err := in.put(ctx, p.profiles); err != nil {
		return err
	}
	in.Tally.met(h.Owner, len(p.profiles) > 0, false)
	if err := in.put(ctx, p.others); err != nil {
		return err
	}
	if in.Owner != nil {
		in.Owner(h.Owner, in.sum().since(before))
	}
	return nil
}

// plan is what is to be done for one owner.
type plan struct {
	profiles, others                      []cluster.Object // to be injected
	objects, present, stayGone, ownerless int
	removed                               bool // the owner's profile was, and that stays so
}

func newPlan(in *Injector, have []cluster.Object, has *Has) (p plan) {
	there, profile := map[cluster.ObjectID]Known{}, false
	owner := ""
	for _, k := range has.Objects {
		there[k.ID] = k
		profile = profile || in.Profile(k.ID.Type) && !k.Deleted
	}
	for _, o := range have {
		if o.Deleted || in.Stays != nil && in.Stays(o.ID) {
			continue
		}
		p.objects++
		owner = o.ID.Owner
		k, known := there[o.ID]
		switch {
		case known && !k.Deleted:
			p.present++
			in.Tally.note(&o, fatePresent)
		case known && !in.Deleted:
			p.stayGone++
			in.Tally.note(&o, fateStaysGone)
			p.removed = p.removed || in.Profile(o.ID.Type)
		case !in.Profile(o.ID.Type) && !has.Floor.IsZero() && o.Timestamp.Compare(has.Floor) <= 0:
			p.stayGone++ // not even with Deleted: it is nobody's business but the former owner's
			in.Tally.note(&o, fateStaysGone)
		case in.Profile(o.ID.Type):
			p.profiles = append(p.profiles, o)
		default:
			p.others = append(p.others, o)
		}
	}
	if !profile && len(p.profiles) == 0 && !in.Tally.revived(owner) {
		p.ownerless += len(p.others)
		for i := range p.others {
			in.Tally.note(&p.others[i], fateOwnerless)
		}
		p.others = nil
	}
	p.removed = p.removed && !profile
	return p
}

// put injects objects, several at once. An error ends the run.
func (in *Injector) put(ctx context.Context, list []cluster.Object) error {
	work := make(chan cluster.Object)
	errs := make([]error, min(in.Workers, len(list)))
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for o := range work {
				if errs[w] == nil {
					errs[w] = in.one(ctx, &o)
				}
			}
		})
	}
	var err error
	for _, o := range list {
		cost := time.Duration(float64(o.Size+objectCost) / float64(in.Rate) * float64(time.Second))
		if !in.DryRun {
			if err = in.Pause(ctx, cost); err != nil {
				break
			}
		}
		work <- o
	}
	close(work)
	wg.Wait()
	return errors.Join(errors.Join(errs...), err)
}

// one injects one object. Damage, and a refusal that is final, are counted; what may pass ends the run.
func (in *Injector) one(ctx context.Context, o *cluster.Object) error {
	if in.DryRun {
		in.done(o)
		return nil
	}
	what := fmt.Sprintf("%s %q of %s", o.ID.Type, o.ID.ID, o.ID.Owner)
	opened, body, err := in.Store.OpenBody(o.ID)
	if err != nil {
		in.fail(o, what, err)
		return nil
	}
	err = in.Live.Put(ctx, opened, body)
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	switch cluster.KindOf(err) {
	case cluster.KindExists:
		in.count(func(r *Injected) { r.Present++ })
		in.Tally.note(o, fatePresent)
	case cluster.KindInvalid, cluster.KindCorrupt, cluster.KindDenied:
		in.fail(o, what, err)
	default:
		if err != nil {
			return fmt.Errorf("inject %s: %w: what was injected until now stays; do it again to go on", what, err)
		}
		in.done(o)
	}
	return nil
}

func (in *Injector) done(o *cluster.Object) {
	first := in.Tally.note(o, fatePut)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.result.Put++
	in.result.Bytes += o.Size
	if in.Report != nil && (first || !in.DryRun) {
		in.Report(*o)
	}
}

// Add adds the counts of another run.
func (n *Injected) Add(m Injected) { n.add(m, 1) }

// since gives what was counted after an earlier moment of the same run.
func (n Injected) since(m Injected) Injected {
	n.add(m, -1)
	return n
}

func (n *Injected) add(m Injected, times int) {
	n.Owners += times * m.Owners
	n.Removed += times * m.Removed
	n.Objects += times * m.Objects
	n.Present += times * m.Present
	n.Put += times * m.Put
	n.Bytes += int64(times) * m.Bytes
	n.StayGone += times * m.StayGone
	n.Ownerless += times * m.Ownerless
	n.Failed += times * m.Failed
}
