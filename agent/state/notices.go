package state

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"coin.internal/coin-agent/agent/notify"
)

// noticesKey holds the book of notices: small, and written as a whole.
var noticesKey = []byte("notices")

var _ notify.Store = (*Store)(nil)

// Notices gives the book of notices; an empty one when nobody was ever told.
func (s *Store) Notices() (notify.Book, error) {
	var book notify.Book
	err := s.view(metaBucket, func(b *bbolt.Bucket) error {
		data := b.Get(noticesKey)
		if data == nil {
			return nil
		}
		if err := json.Unmarshal(data, &book); err != nil {
			return fmt.Errorf("read notices: %w", err)
		}
		return nil
	})
	return book, err
}

// SaveNotices writes the book of notices.
func (s *Store) SaveNotices(book *notify.Book) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(metaBucket), noticesKey, book) })
}
