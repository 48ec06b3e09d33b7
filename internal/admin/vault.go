package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// RestoreMax is how many messages one request restores.
const RestoreMax = 50

// Deleted is a deleted message that can be restored.
type Deleted struct {
	ID       string           `json:"id"`
	Size     int64            `json:"size"`
	Received time.Time        `json:"received"`
	Deleted  time.Time        `json:"deleted"`
	Restored bool             `json:"restored,omitempty"` // it is in the mailbox again, under another id
	Nodes    []cluster.NodeID `json:"nodes"`              // that have its contents
}

// DeletedList is what can be restored of a user's mail, the first deleted first.
type DeletedList struct {
	Messages []Deleted        `json:"messages"`
	Silent   []cluster.NodeID `json:"silent,omitempty"` // members that did not answer: what they alone have is missing
}

// Restored is what became of a message that was to be restored.
type Restored struct {
	ID    string       `json:"id"`
	Kind  cluster.Kind `json:"kind,omitempty"`
	Error string       `json:"error,omitempty"` // empty: it is in the mailbox
}

// Vault is what the socket needs to restore deleted messages.
type Vault interface {
	// ListDeleted gives what was deleted at that time or later.
	ListDeleted(ctx context.Context, address string, since time.Time) (DeletedList, error)
	// Restore delivers at most RestoreMax deleted messages again.
	Restore(ctx context.Context, address string, ids []string) ([]Restored, error)
}

func (s *Server) listDeleted(ctx context.Context, r *http.Request) (any, error) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return nil, cluster.Errorf(cluster.KindInvalid, "list vault", "since: %w", err)
		}
	}
	return s.Vault.ListDeleted(ctx, r.FormValue("address"), since)
}

type restoreRequest struct {
	Address string   `json:"address"`
	IDs     []string `json:"ids"`
}

func (s *Server) restoreDeleted(ctx context.Context, r *http.Request) (any, error) {
	var q restoreRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if len(q.IDs) > RestoreMax {
		return nil, cluster.Errorf(cluster.KindLimit, "restore mail of "+q.Address, "%d messages at once, at most %d", len(q.IDs), RestoreMax)
	}
	results, err := s.Vault.Restore(ctx, q.Address, q.IDs)
	if err != nil {
		s.Logger.Info("admin command refused", "path", r.URL.Path, "object", q.Address, "err", err)
		return nil, err
	}
	s.Logger.Info("admin command", "path", r.URL.Path, "object", q.Address, "messages", len(q.IDs))
	return results, nil
}

// ListDeleted gives a user's deleted messages that can be restored.
func (c *Client) ListDeleted(ctx context.Context, address string, since time.Time) (l DeletedList, err error) {
	q := url.Values{"address": {address}}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	err = c.call(ctx, http.MethodGet, "/vault?"+q.Encode(), nil, &l)
	return l, err
}

// Restore delivers deleted messages again, RestoreMax at a time.
func (c *Client) Restore(ctx context.Context, address string, ids []string) (all []Restored, err error) {
	for part := range slices.Chunk(ids, RestoreMax) {
		var results []Restored
		if err := c.call(ctx, http.MethodPost, "/vault/restore", restoreRequest{address, part}, &results); err != nil {
			return all, fmt.Errorf("%w (%d of %d messages were dealt with)", err, len(all), len(ids))
		}
		all = append(all, results...)
	}
	return all, nil
}

func (s *Server) showUser(ctx context.Context, r *http.Request) (any, error) {
	return s.Directory.ShowUser(ctx, r.FormValue("address"))
}

// ShowUser gives what is known of one user.
func (c *Client) ShowUser(ctx context.Context, address string) (u UserDetail, err error) {
	err = c.call(ctx, http.MethodGet, "/users/show?"+url.Values{"address": {address}}.Encode(), nil, &u)
	return u, err
}
