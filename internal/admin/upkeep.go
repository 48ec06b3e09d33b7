package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"porcupine/internal/cluster"
)

// Upkeep is what a member does by itself. Counters are since its process began.
type Upkeep struct {
	RepairPending int64     `json:"repair_pending"`        // objects on it that may need another copy, or one less
	RepairDone    int64     `json:"repair_done"`           // objects that it has moved or copied
	RepairFailed  int64     `json:"repair_failed"`         // moves that failed; they are tried again
	RepairBytes   int64     `json:"repair_bytes"`          // of contents that it has copied
	RepairSince   time.Time `json:"repair_since,omitzero"` // UTC: since when it has had something to repair; zero: it has nothing
	Rebalanced    int64     `json:"rebalanced"`            // objects that it has moved to even out disks and spread, or because two copies shared a machine
	Together      int64     `json:"together,omitzero"`     // objects with two copies on one machine though another could take one, each counted at one of its holders
	Draining      bool      `json:"draining"`              // it is being emptied
	DrainLeft     int64     `json:"drain_left,omitzero"`   // objects on a node that drains; of another node nothing is said
	Drained       bool      `json:"drained"`               // it is empty, and leaves
	// DrainHeld are those of DrainLeft that cannot be let go now; DrainWaits are the absent nodes that they,
	// or the updates left, wait for. None: the nodes that are there cannot take them.
	DrainHeld  int              `json:"drain_held,omitempty"`
	DrainWaits []cluster.NodeID `json:"drain_waits,omitempty"`
	// DrainFrom is when a node that drains may leave, once it is empty: one that has just been started waits for a
	// cancellation. DrainUnread is how often a bucket of its store could not be read: unless it is 0 the node is not known to be empty.
	DrainFrom   time.Time `json:"drain_from,omitzero"` // UTC
	DrainUnread int64     `json:"drain_unread,omitempty"`
	// Missing are objects (messages, users, aliases, domains, folders and their ledgers) with fewer live copies than wanted, each counted at one of its holders, and
	// RepairAt is when an absent node will have been away long enough to be replaced; zero: none is waited for.
	Missing      int64     `json:"missing"`
	RepairAt     time.Time `json:"repair_at,omitzero"`   // UTC
	MissingOld   bool      `json:"missing_old,omitzero"` // Missing was counted before the last change of the view, and is counted again now
	Records      int       `json:"records"`              // updates that some node, absent ones included, may not have heard of
	Owed         int       `json:"owed"`                 // of them, those that another member may not have heard of
	Divergences  int64     `json:"divergences"`          // copies that differed though nothing was under way
	Mended       int64     `json:"mended"`               // of them, put right
	Damaged      int64     `json:"damaged"`              // contents found damaged on its disk
	Healed       int64     `json:"healed"`               // of them, replaced from another copy
	Lost         int       `json:"lost"`                 // damaged contents that no other node could give
	LostExamples []string  `json:"lost_examples,omitempty"`
	// Compared and Scrubbed count rounds through all that it holds.
	Compared int64 `json:"compared"`
	Scrubbed int64 `json:"scrubbed"`
}

// VerifyOptions say how thorough a verification of the cluster is.
type VerifyOptions struct {
	Contents bool          `json:"contents"` // read all contents on all nodes too
	Wait     time.Duration `json:"wait"`     // for updates under way, and what is too young to be compared, at most; 0: the node's default
}

// Verification is what comparing all copies of everything has found.
type Verification struct {
	OK              bool  `json:"ok"`
	Members         int   `json:"members"`
	Objects         int64 `json:"objects"`
	Compared        int64 `json:"compared"` // objects, each with each other copy
	Divergences     int64 `json:"divergences"`
	UnderReplicated int64 `json:"under_replicated"`
	Damaged         int64 `json:"damaged"`
	Owed            int   `json:"owed"` // updates still under way to some member
	// Complete says that all was compared that was there at the beginning. Young are objects left out because they
	// changed less than Quiet before: later than the beginning, if it is complete. Waiting are pairs of copies left out
	// because an older update still waits for a node.
	Complete bool          `json:"complete"`
	Young    int64         `json:"young"`
	Waiting  int64         `json:"waiting"`
	Quiet    time.Duration `json:"quiet"` // nanoseconds
	Details  []string      `json:"details,omitempty"`
}

// Keeper is what the socket needs of the node's upkeep.
type Keeper interface {
	// Drain has a member take nothing new and move off what it has, or ends that. KindInvalid also if fewer nodes would stay
	// than copies are wanted, unless the options say that this is meant.
	Drain(ctx context.Context, id cluster.NodeID, o DrainOptions) error
	// Verify compares all copies of everything in the whole cluster. It may take long.
	Verify(ctx context.Context, o VerifyOptions) (Verification, error)
}

// DrainOptions say what a drain command shall do.
type DrainOptions struct {
	Cancel      bool `json:"cancel"`                 // end the draining
	FewerCopies bool `json:"fewer_copies,omitempty"` // drain though fewer nodes stay than copies are wanted
}

// drainRequest is the body of a drain command.
type drainRequest struct {
	Node string `json:"node"`
	DrainOptions
}

// verifyMax bounds a verification of the cluster.
const verifyMax = 24 * time.Hour

// keep adds the commands of upkeep to the socket's.
func (s *Server) keep(mux *http.ServeMux) {
	mux.HandleFunc("POST /nodes/drain", s.answer(func(ctx context.Context, r *http.Request) (any, error) {
		var q drainRequest
		if err := decode(r, &q); err != nil {
			return nil, err
		}
		id, err := cluster.ParseNodeID(q.Node)
		if err != nil {
			return nil, cluster.Errorf(cluster.KindInvalid, "drain node", "%w ('porcupine node list' shows them)", err)
		}
		err = s.Keeper.Drain(ctx, id, q.DrainOptions)
		s.Logger.Info("admin command", "path", r.URL.Path, "node", id, "cancel", q.Cancel, "fewer_copies", q.FewerCopies, "err", err)
		return struct{}{}, err
	}))
	mux.HandleFunc("POST /verify", func(w http.ResponseWriter, r *http.Request) {
		var o VerifyOptions
		if err := decode(r, &o); err != nil {
			s.fail(w, r, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), verifyMax)
		defer cancel()
		v, err := s.Keeper.Verify(ctx, o)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.send(w, r, http.StatusOK, v)
	})
}

// Drain has a member move off what it has and then leave, or ends that; node in the form that status
// shows.
func (c *Client) Drain(ctx context.Context, node string, o DrainOptions) error {
	return c.call(ctx, http.MethodPost, "/nodes/drain", drainRequest{node, o}, &struct{}{})
}

// VerifyCluster compares all copies of everything in the whole cluster.
func (c *Client) VerifyCluster(ctx context.Context, o VerifyOptions) (v Verification, err error) {
	const path = "/verify"
	resp, err := c.do(ctx, http.MethodPost, path, o)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v, refusal(path, resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("admin request %s: unreadable answer: %w", path, err)
	}
	return v, nil
}
