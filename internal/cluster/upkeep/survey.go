package upkeep

import (
	"context"
	"fmt"

	"porcupine/internal/cluster"
)

// hit is a bucket that may need something.
type hit struct {
	bucket cluster.Bucket
	count  int64                         // objects concerned, by the headers
	local  map[string][]cluster.Fragment // the fragments of its owners, as far as they lie here
}

// survey is what the headers of all buckets say.
type survey struct {
	hits  []hit
	left  int64 // all that this node holds, tombstones included
	small int64 // objects that lie on fewer nodes than usual
	short int64 // objects that have fewer live copies than wanted, each counted at one of its live holders
	// crowded are the buckets with objects that have two copies on one machine and need not; together is how many,
	// each counted at one of its holders.
	crowded  []cluster.Bucket
	together int64
}

// buckets gives those that a survey must look at. The most of a small cluster's are empty, and thirty nodes that boot
// survey their stores once a second. Where the store cannot say, all are looked at: what is wrong with one of them
// must not keep the others from being repaired.
func (u *Upkeep) buckets() []cluster.Bucket {
	list, err := u.disk.Buckets()
	if err == nil {
		return list
	}
	u.log.Debug("upkeep: the buckets cannot be listed, so all are surveyed", "err", err)
	all := make([]cluster.Bucket, cluster.BucketCount)
	for i := range all {
		all[i] = cluster.Bucket(i)
	}
	return all
}

// survey reads the headers of all buckets. What lies on fewer nodes than usual is a hit if the pass is
// thorough, and so is a bucket in which comparing has found something short of copies.
func (p *pass) survey(ctx context.Context, thorough bool, short map[cluster.Bucket]bool) (s survey) {
	for _, b := range p.u.buckets() {
		if ctx.Err() != nil {
			break
		}
		h := hit{bucket: b, local: map[string][]cluster.Fragment{}}
		held, crowded := false, false
		_, err := p.u.disk.ScanBucket(b, func(x cluster.Holding) error {
			held = true
			count := p.concerned(&x, thorough, &s)
			crowded = p.crowded(&x, &s) || crowded
			if count > 0 || p.rebalance || short[b] {
				h.local[x.Owner] = p.u.movable(x.Fragments)
			}
			h.count += count
			return nil
		})
		if err != nil {
			p.fail(fmt.Errorf("scan bucket %d: %w", b, err))
			continue
		}
		if h.count > 0 || held && (p.rebalance || short[b]) {
			s.hits = append(s.hits, h)
		}
		if crowded {
			s.crowded = append(s.crowded, b)
		}
	}
	return s
}

// concerned counts the objects of an owner that may need something, and adds to the survey.
func (p *pass) concerned(x *cluster.Holding, thorough bool, s *survey) (count int64) {
	for _, f := range x.Fragments {
		s.left += f.Count
		if p.planner.Lacks(f.Replicas, 0) && p.counts(f.Replicas) {
			s.short += f.Count
		}
		needs := p.planner.Affected(f.Replicas, 0)
		unusual := !needs && p.planner.Affected(f.Replicas, p.u.cfg.Copies[f.Type])
		if unusual {
			s.small += f.Count
		}
		if needs || unusual && thorough {
			count += f.Count
		}
	}
	for i := range x.Cached {
		s.left++
		if o := &x.Cached[i].Object; p.planner.Affected(o.Replicas, o.Copies) {
			count++
		}
		if o := &x.Cached[i].Object; !o.Deleted && p.planner.Lacks(o.Replicas, o.Copies) && p.counts(o.Replicas) {
			s.short++
		}
	}
	return count
}

// crowded reports whether some of an owner's objects have two copies on one machine and need not, and adds to the survey.
func (p *pass) crowded(x *cluster.Holding, s *survey) (found bool) {
	add := func(set cluster.ReplicaSet, count int64) {
		if !p.planner.Crowded(set) {
			return
		}
		found = true
		if p.counts(set) {
			s.together += count
		}
	}
	for _, f := range x.Fragments {
		add(f.Replicas, f.Count)
	}
	for i := range x.Cached {
		if o := &x.Cached[i].Object; !o.Deleted {
			add(o.Replicas, 1)
		}
	}
	return found
}

// counts reports whether this node is the one of the live holders that counts an object.
func (p *pass) counts(set cluster.ReplicaSet) bool {
	v := p.u.node.View()
	for _, id := range set { // ascending
		if v.Contains(id) {
			return id == p.u.node.ID()
		}
	}
	return false
}
