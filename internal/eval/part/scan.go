package part

import (
	"context"
	"errors"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
)

// scanUsers is how many users a node of the thesis has: with 4,096 buckets, 1,220 a bucket.
const scanUsers = 5_000_000

// scanRepeats is how often each bucket is read.
const scanRepeats = 5

// scan reads buckets that are as full as those of a node with five million users. It fills as many of them as make half a
// million users: the store is smaller than that of such a node, the buckets are not.
func scan(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	var rows []eval.Row
	var points []plot.Point
	var first, last float64
	perBucket := scanUsers / cluster.BucketCount
	full := pick(env, 20, 410)
	for _, share := range []int{1, 2, 5, 10} { // of the users of a full bucket, in tenths
		users := perBucket * share / 10
		cost, all, err := scanBuckets(ctx, env, full, users)
		if err != nil {
			return r, err
		}
		each := float64(cost) / float64(full) / float64(time.Microsecond)
		env.Progress("%d users a bucket: %.0f µs", users, each)
		rows = append(rows, eval.Row{Label: fmt.Sprint(users * cluster.BucketCount), Cells: []eval.Cell{
			eval.Measured(float64(users)), eval.Measured(float64(all)), eval.Measured(each), eval.Measured(each / float64(users)),
			eval.Measured(each * cluster.BucketCount / 1e6)}})
		points = append(points, plot.Point{X: float64(users) * cluster.BucketCount / 1e6, Y: each / 1000})
		if share == 1 {
			first = each / float64(users)
		}
		last = each / float64(users)
	}
	r.Tables = []eval.Table{{Title: "reading one bucket", Corner: "users a node", Rows: rows,
		Columns: []string{"users a bucket", "users in the store", "a bucket, µs", "a user, µs", "all 4,096 buckets, s"}}}
	r.Notes = []string{
		fmt.Sprintf("Processor time; the least of %d readings, from the operating system's cache. The last column is what a node would pay whose buckets are all fresh: one that has just joined.", scanRepeats),
		fmt.Sprintf("%d buckets are filled, so that the store is smaller than that of a node with so many users; of a bucket as full as with five million users all is measured.", full),
	}
	r.Checks = []eval.Check{eval.Checked(last <= 1.5*first, "linear in the users of the bucket", "%.2f µs a user in the fullest, %.2f in the emptiest", last, first)}
	r.Figures = []eval.Figure{{Name: "scan", Drawing: &plot.Chart{Title: "Reading one bucket", Note: "Processor time of a member that tells a bucket to its new manager",
		X: plot.Axis{Label: "users of the node", Unit: "millions"}, Y: plot.Axis{Label: "one bucket of 4,096", Unit: "ms"}, Series: []plot.Series{{Points: points}}}}}
	return r, nil
}

// scanBuckets fills so many buckets with so many users each, and gives the least processor time of reading all of them.
func scanBuckets(ctx context.Context, env eval.Env, buckets, users int) (least time.Duration, all int, err error) {
	s, err := openStore(fmt.Sprintf("%s/scan-%d", env.Dir, users), 1)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var updates []cluster.Update
	for i, name := range userNames(buckets*users, firstBuckets(buckets)) {
		updates = append(updates, userObjects(name, i, cluster.NewReplicaSet(1, 2))...)
	}
	if err := keep(ctx, s, updates); err != nil {
		return 0, 0, err
	}
	for i := range scanRepeats {
		cost, err := readBuckets(s, buckets, buckets*users)
		if err != nil {
			return 0, 0, err
		}
		if i == 0 || cost < least {
			least = cost
		}
	}
	return least, buckets * users, nil
}

func readBuckets(s *store.Store, buckets, want int) (time.Duration, error) {
	before, err := processorTime()
	if err != nil {
		return 0, err
	}
	got := 0
	for _, b := range firstBuckets(buckets) {
		if _, err := s.ScanBucket(b, func(h cluster.Holding) error {
			got += len(h.Cached)
			return nil
		}); err != nil {
			return 0, err
		}
	}
	after, err := processorTime()
	if err == nil && got != want {
		err = fmt.Errorf("%d users read, want %d", got, want)
	}
	return after - before, err
}
