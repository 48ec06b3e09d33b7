package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/archive"
)

// Checkpoint is a consistent copy of a running node's store, beside it on its disk.
type Checkpoint struct {
	Dir     string         `json:"dir"`
	Cluster string         `json:"cluster"` // hexadecimal cluster.ID
	Node    cluster.NodeID `json:"node"`
	Taken   time.Time      `json:"taken"`
}

// Archive is what the socket needs for backups and for bringing back what was lost.
type Archive interface {
	// Checkpoint makes a copy that stays until release is called. KindExists while there is one.
	Checkpoint(ctx context.Context) (c Checkpoint, release func() error, err error)
	archive.Live
}

// checkpoint answers with one line and keeps the copy until the client goes away: a client that dies
// leaves nothing behind.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	c, release, err := s.Archive.Checkpoint(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.Logger.Info("admin command", "path", r.URL.Path, "dir", c.Dir)
	s.send(w, r, http.StatusOK, c)
	err = http.NewResponseController(w).Flush()
	if err == nil {
		<-r.Context().Done()
	}
	if err = errors.Join(err, release()); err != nil {
		s.Logger.Error("a checkpoint was not removed", "dir", c.Dir, "err", err)
	}
}

// known is archive.Known as JSON: ids are any bytes.
type known struct {
	Type    cluster.ObjectType `json:"type"`
	ID      []byte             `json:"id"`
	Time    int64              `json:"time"`
	Node    uint64             `json:"node"`
	Deleted bool               `json:"deleted,omitempty"`
}

type has struct {
	Knowledge cluster.Knowledge `json:"knowledge"`
	FloorTime int64             `json:"floor_time,omitempty"`
	FloorNode uint64            `json:"floor_node,omitempty"`
	Objects   []known           `json:"objects"`
}

func (s *Server) has(ctx context.Context, r *http.Request) (any, error) {
	h, err := s.Archive.Has(ctx, r.FormValue("owner"))
	answer := has{Knowledge: h.Knowledge, FloorTime: h.Floor.Time, FloorNode: uint64(h.Floor.Node), Objects: make([]known, len(h.Objects))}
	for i, k := range h.Objects {
		answer.Objects[i] = known{Type: k.ID.Type, ID: []byte(k.ID.ID), Time: k.Timestamp.Time, Node: uint64(k.Timestamp.Node), Deleted: k.Deleted}
	}
	return answer, err
}

// Has asks the node what the cluster has of an owner.
func (c *Client) Has(ctx context.Context, owner string) (archive.Has, error) {
	var answer has
	err := c.call(ctx, http.MethodGet, "/archive/has?"+url.Values{"owner": {owner}}.Encode(), nil, &answer)
	h := archive.Has{Knowledge: answer.Knowledge, Floor: cluster.Timestamp{Time: answer.FloorTime, Node: cluster.NodeID(answer.FloorNode)}, Objects: make([]archive.Known, len(answer.Objects))}
	for i, k := range answer.Objects {
		h.Objects[i] = archive.Known{ID: cluster.ObjectID{Type: k.Type, Owner: owner, ID: string(k.ID)},
			Timestamp: cluster.Timestamp{Time: k.Time, Node: cluster.NodeID(k.Node)}, Deleted: k.Deleted}
	}
	return h, err
}

// objectHead is the first line of an object on its way in; the contents follow.
type objectHead struct {
	Type   cluster.ObjectType `json:"type"`
	Owner  []byte             `json:"owner"`
	ID     []byte             `json:"id"`
	Copies int                `json:"copies"`
	Attr   []byte             `json:"attr"`
	Size   int64              `json:"size"`
	Sum    []byte             `json:"sum"`
}

// objectHeadMax bounds that line: the attributes are the largest part.
const objectHeadMax = 64 << 10

func (s *Server) putObject(ctx context.Context, r *http.Request) (any, error) {
	const op = "put object"
	in := bufio.NewReaderSize(http.MaxBytesReader(nil, r.Body, objectHeadMax+cluster.ObjectSizeMax), objectHeadMax)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, op, "its first line: %w", err)
	}
	var h objectHead
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, op, "its first line: %w", err)
	}
	o := cluster.Object{ID: cluster.ObjectID{Type: h.Type, Owner: string(h.Owner), ID: string(h.ID)}, Copies: h.Copies, Attr: h.Attr, Size: h.Size}
	if copy(o.Sum[:], h.Sum) != len(o.Sum) || len(h.Sum) != len(o.Sum) || o.Size < 0 || o.Size > cluster.ObjectSizeMax {
		return nil, cluster.Errorf(cluster.KindInvalid, op, "size %d, checksum of %d bytes", h.Size, len(h.Sum))
	}
	if err := s.Archive.Put(ctx, o, in); err != nil {
		return nil, err
	}
	s.Logger.Debug("object injected", "type", o.ID.Type, "owner", o.ID.Owner)
	return struct{}{}, nil
}

// Put gives the node an object that the cluster lacks.
func (c *Client) Put(ctx context.Context, o cluster.Object, body io.Reader) error {
	line, err := json.Marshal(objectHead{Type: o.ID.Type, Owner: []byte(o.ID.Owner), ID: []byte(o.ID.ID), Copies: o.Copies, Attr: o.Attr, Size: o.Size, Sum: o.Sum[:]})
	if err != nil {
		return fmt.Errorf("put object: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	const path = "/archive/put"
	resp, err := c.send(ctx, http.MethodPost, path, io.MultiReader(bytes.NewReader(append(line, '\n')), body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(path, resp)
	}
	return nil
}

// Checkpoint has the node make a consistent copy of its store. It stays until release is called or
// this process ends.
func (c *Client) Checkpoint(ctx context.Context) (p Checkpoint, release func() error, err error) {
	const path = "/store/checkpoint"
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return p, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return p, nil, errors.Join(refusal(path, resp), resp.Body.Close())
	}
	// The answer goes on, without another byte, for as long as the checkpoint is wanted.
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		return p, nil, errors.Join(fmt.Errorf("admin request %s: unreadable answer: %w", path, err), resp.Body.Close())
	}
	return p, resp.Body.Close, nil
}
