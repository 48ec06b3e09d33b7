package node

import (
	"context"
	"fmt"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/wire"
)

// persistName is the store's name of the membership state. Its value is one byte, the version
// of the format, and the fields that wire.MarshalPersistent writes. A newer program reads older
// versions; an older one refuses newer ones.
const (
	persistName    = "membership"
	persistVersion = 1
)

func loadPersistent(s Hard) (membership.Persistent, error) {
	value, err := s.Meta(persistName)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return membership.Persistent{}, nil
	}
	if err != nil {
		return membership.Persistent{}, fmt.Errorf("membership state: %w", err)
	}
	if len(value) == 0 || value[0] != persistVersion {
		return membership.Persistent{}, fmt.Errorf("membership state: unknown format, this program knows version %d: use the version that wrote it, or a newer one", persistVersion)
	}
	p, err := wire.UnmarshalPersistent(value[1:])
	if err != nil {
		return membership.Persistent{}, fmt.Errorf("membership state: %w", err)
	}
	return *p, nil
}

func savePersistent(ctx context.Context, s Hard, p membership.Persistent) error {
	return s.PutMeta(ctx, persistName, append([]byte{persistVersion}, wire.MarshalPersistent(&p)...))
}
