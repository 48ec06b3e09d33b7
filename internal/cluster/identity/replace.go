package identity

import (
	"errors"
	"fmt"
	"io/fs"

	"porcupine/internal/cluster"
)

// Replace gives the data directory that files is another node id in the same cluster, and writes the
// new identity in one step: every node holds the CA's key, so it needs nobody for that. It is for a
// node that was struck, or whose data directory was rolled back, AFTER its hard state was set aside: what
// the old id held cannot be found under the new one. Options.Node is ignored. KindNotFound if there
// is no identity.
func Replace(files Files, o Options) (*Identity, error) {
	o = o.withDefaults()
	data, err := files.ReadFile(FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cluster.Errorf(cluster.KindNotFound, "replace identity", "this node belongs to no cluster yet: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("replace identity: %w", err)
	}
	ca, _, err := decodePEM(data)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindCorrupt, "replace identity", "%s: %w", FileName, err)
	}
	if o.Node, err = drawNode(cluster.NoNode); err != nil {
		return nil, fmt.Errorf("replace identity: %w", err)
	}
	cert, err := selfIssue(ca, o.Node, o.Now())
	if err != nil {
		return nil, fmt.Errorf("replace identity: %w", err)
	}
	id, err := create(files, o, ca, cert)
	if err != nil {
		return nil, fmt.Errorf("replace identity: %w", err)
	}
	return id, nil
}
