package daemon

import (
	"context"
	"io"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
	"porcupine/internal/mail/smtpserver/spool"
	"porcupine/internal/mail/vault"
)

// openVault makes the vault, and has the node answer for its own part of it.
func (d *daemon) openVault() (err error) {
	d.vault, err = vault.New(d.node, d.delivery, vault.Config{
		Disk:     vaultDisk{d.store},
		TempFile: func() (vault.File, error) { return spool.Dir(d.cfg.DataDir).Create() },
		Logger:   d.log,
	})
	if err != nil {
		return err
	}
	d.vault.Register()
	return nil
}

// vaultDisk shows the store to the vault.
type vaultDisk struct{ store *store.Store }

var _ vault.Disk = vaultDisk{}

func (v vaultDisk) Vaulted(owner string) ([]vault.Item, error) {
	found, err := v.store.Vaulted(owner)
	items := make([]vault.Item, len(found))
	for i, f := range found {
		items[i] = vault.Item{Object: f.Object, Deleted: f.Deleted}
	}
	return items, err
}

func (v vaultDisk) OpenVaulted(id cluster.ObjectID, deleted int64) (cluster.Object, io.ReadCloser, error) {
	return v.store.OpenVaulted(id, deleted)
}

// deletedMail shows the vault to the admin socket.
type deletedMail struct{ d *daemon }

var _ admin.Vault = deletedMail{}

func (m deletedMail) ListDeleted(ctx context.Context, address string, since time.Time) (admin.DeletedList, error) {
	u, err := user("list vault", address)
	if err != nil {
		return admin.DeletedList{}, err
	}
	found, silent, err := m.d.vault.List(ctx, u, since)
	if err != nil {
		return admin.DeletedList{}, err
	}
	l := admin.DeletedList{Messages: make([]admin.Deleted, len(found)), Silent: silent}
	for i, f := range found {
		l.Messages[i] = admin.Deleted{ID: f.ID, Size: f.Size, Received: f.Received, Deleted: f.Deleted, Restored: f.Restored}
		for _, p := range f.Places {
			l.Messages[i].Nodes = append(l.Messages[i].Nodes, p.Node)
		}
	}
	return l, nil
}

func (m deletedMail) Restore(ctx context.Context, address string, ids []string) ([]admin.Restored, error) {
	u, err := user("restore mail", address)
	if err != nil {
		return nil, err
	}
	outcomes, err := m.d.vault.Restore(ctx, u, ids)
	if err != nil {
		return nil, err
	}
	results := make([]admin.Restored, len(outcomes))
	for i, o := range outcomes {
		results[i].ID = o.ID
		if o.Err != nil {
			results[i].Kind, results[i].Error = cluster.KindOf(o.Err), o.Err.Error()
		}
	}
	return results, nil
}
