package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// The questions that every node answers about its own disk.
const (
	methodList    = "mail.vault.list"
	methodRestore = "mail.vault.restore"
	// methodRestoreAs is methodRestore for an id that is not RestoredID. Nodes of older versions do not have it: they would
	// restore under RestoredID, which is deleted, all the same.
	methodRestoreAs = "mail.vault.restore.as"
)

type listRequest struct {
	User  mail.User `json:"user"`
	Since int64     `json:"since,omitempty"`
	// After is the last of the page before, if there was one.
	AfterDeleted int64  `json:"after_deleted,omitempty"`
	AfterID      string `json:"after_id,omitempty"`
}

type listAnswer struct {
	Entries []entry `json:"entries"`
	More    bool    `json:"more,omitempty"`
}

// entry is a deleted message on one disk.
type entry struct {
	ID       string `json:"id"`
	Deleted  int64  `json:"deleted"`
	Received int64  `json:"received"`
	Size     int64  `json:"size"`
}

func (e *entry) compare(deleted int64, id string) int {
	return cmp.Or(cmp.Compare(e.Deleted, deleted), strings.Compare(e.ID, id))
}

func (e *entry) mergeInto(all map[string]*Message, node cluster.NodeID) {
	m := all[e.ID]
	if m == nil {
		m = &Message{ID: e.ID, Size: e.Size, Received: time.Unix(0, e.Received).UTC()}
		all[e.ID] = m
	}
	if at := time.Unix(0, e.Deleted).UTC(); at.After(m.Deleted) {
		m.Deleted = at
	}
	m.Places = append(m.Places, Place{Node: node, Deleted: e.Deleted})
}

type restoreRequest struct {
	User    mail.User `json:"user"`
	ID      string    `json:"id"`
	Deleted int64     `json:"deleted"`
	As      string    `json:"as,omitempty"` // the id that it gets; empty, from nodes of older versions: RestoredID
}

// failure is how an error crosses in an answer: an error of the method itself would make the node
// ask again.
type failure struct {
	Kind  cluster.Kind `json:"kind"`
	Error string       `json:"error,omitempty"` // empty: done
	Quota bool         `json:"quota,omitempty"` // mail.ErrOverQuota was in the chain
}

func failureOf(err error) failure {
	if err == nil {
		return failure{}
	}
	return failure{Kind: cluster.KindOf(err), Error: err.Error(), Quota: errors.Is(err, mail.ErrOverQuota)}
}

func (f failure) err() error {
	switch {
	case f.Error == "":
		return nil
	case f.Quota:
		return cluster.Errorf(f.Kind, "node", "%w", mail.ErrOverQuota)
	}
	return &cluster.Error{Kind: f.Kind, Op: "node", Err: errors.New(f.Error)}
}

// Register makes the node answer for its vault. Call it once, before the node starts.
func (v *Vault) Register() {
	v.cluster.Serve(methodList, v.serveList)
	v.cluster.Serve(methodRestore, v.serveRestore)
	v.cluster.Serve(methodRestoreAs, v.serveRestore)
}

// ask gives what one node's disk has of a user.
func (v *Vault) ask(ctx context.Context, node cluster.NodeID, u mail.User, since time.Time) (all []entry, err error) {
	q := listRequest{User: u}
	if !since.IsZero() {
		q.Since = since.UnixNano()
	}
	for {
		var page listAnswer
		if err := v.tell(ctx, node, methodList, q, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Entries...)
		if len(all) > ListMax {
			return nil, cluster.Errorf(cluster.KindLimit, "list vault of node "+node.String(), "more than %d deleted messages", ListMax)
		}
		if !page.More {
			return all, nil
		}
		if len(page.Entries) == 0 {
			return nil, cluster.Errorf(cluster.KindInternal, "list vault of node "+node.String(), "the listing does not go on")
		}
		last := page.Entries[len(page.Entries)-1]
		q.AfterDeleted, q.AfterID = last.Deleted, last.ID
	}
}

func (v *Vault) tellRestore(ctx context.Context, node cluster.NodeID, q restoreRequest) error {
	method := methodRestore
	if q.As != RestoredID(q.ID).String() {
		method = methodRestoreAs
	}
	var f failure
	if err := v.tell(ctx, node, method, q, &f); err != nil {
		return err
	}
	return f.err()
}

func (v *Vault) tell(ctx context.Context, node cluster.NodeID, method string, question, answer any) error {
	payload, err := json.Marshal(question)
	if err != nil {
		return cluster.Errorf(cluster.KindInternal, method, "%w", err)
	}
	raw, err := v.cluster.Tell(ctx, node, method, payload)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return cluster.Errorf(cluster.KindInternal, method, "answer of node %s: %w", node, err)
	}
	return nil
}

func (v *Vault) serveList(_ context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	var q listRequest
	if err := json.Unmarshal(payload, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, methodList, "%w", err)
	}
	items, err := v.cfg.Disk.Vaulted(string(q.User))
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(items))
	for i := range items {
		o := &items[i].Object
		if o.ID.Type != mail.TypeMessage || items[i].Deleted < q.Since {
			continue
		}
		e := entry{ID: o.ID.ID, Deleted: items[i].Deleted, Size: o.Size, Received: received(o).UnixNano()}
		if q.AfterID == "" || e.compare(q.AfterDeleted, q.AfterID) > 0 {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.compare(b.Deleted, b.ID) })
	page := listAnswer{Entries: entries[:min(len(entries), pageMax)], More: len(entries) > pageMax}
	return json.Marshal(page)
}

// received gives when a message was accepted. Attributes of a version that is not known here leave
// the time of the update, which is close.
func received(o *cluster.Object) time.Time {
	if a, err := mail.ParseMessageAttr(o.Attr); err == nil {
		return a.Received
	}
	return time.Unix(0, o.Timestamp.Time).UTC()
}

// serveRestore delivers a message out of this node's vault.
func (v *Vault) serveRestore(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	var q restoreRequest
	if err := json.Unmarshal(payload, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, methodRestore, "%w", err)
	}
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return nil, cluster.Errorf(cluster.KindUnavailable, methodRestore, "%w", context.Cause(ctx))
	}
	return json.Marshal(failureOf(v.restoreHere(ctx, q)))
}

func (v *Vault) restoreHere(ctx context.Context, q restoreRequest) (err error) {
	op := "restore message " + q.ID + " of " + string(q.User)
	id := cluster.ObjectID{Type: mail.TypeMessage, Owner: string(q.User), ID: q.ID}
	o, contents, err := v.cfg.Disk.OpenVaulted(id, q.Deleted)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, contents.Close()) }()
	body, closeBody, err := v.body(contents, o.Size)
	if err != nil {
		return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
	}
	defer func() { err = errors.Join(err, closeBody()) }()
	as := RestoredID(q.ID)
	if q.As != "" {
		if as, err = mail.ParseMessageID(q.As); err != nil {
			return cluster.Errorf(cluster.KindInvalid, op, "%w", err)
		}
	}
	if err := v.delivery.Restore(ctx, q.User, as, received(&o), body); err != nil {
		return err
	}
	v.cfg.Logger.Info("deleted message restored", "user", q.User, "id", q.ID, "restored_id", as)
	return nil
}

// body makes contents that come as a stream into contents that can be read again.
func (v *Vault) body(contents io.Reader, size int64) (cluster.Body, func() error, error) {
	if size <= memoryMax {
		b := make([]byte, size)
		if _, err := io.ReadFull(contents, b); err != nil {
			return nil, nil, fmt.Errorf("read contents: %w", err)
		}
		return bytes.NewReader(b), func() error { return nil }, nil
	}
	f, err := v.cfg.TempFile()
	if err != nil {
		return nil, nil, err
	}
	n, err := io.Copy(f, io.LimitReader(contents, size))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("copy contents to a temporary file: %w", err), f.Close())
	}
	return io.NewSectionReader(f, 0, size), f.Close, nil
}
