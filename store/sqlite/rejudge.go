package sqlite

import (
	"context"
	"database/sql/driver"

	"bouncelog/bounce"
)

// Rejudge judges each distinct failed reply again, in the situation stored with it
// (bounce.Template.Situation), and updates the rollups. It returns how many replies have a new
// verdict.
func (d *DB) Rejudge(ctx context.Context, judge func(d *bounce.Delivery, situation string) bounce.Verdict) (changed int64, err error) {
	err = d.writing("judge again", func(w *writer) error {
		changed = 0
		type verdict struct {
			id, kind int64
			v        bounce.Verdict
		}
		var news []verdict
		now := make(map[int64]bounce.Verdict) // of the replies so far
		moved := false
		err := w.c.Each(func(row []driver.Value) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var r replyText
			r.scan(row)
			id := num(row[18])
			now[id] = r.v
			if r.d.Outcome != bounce.Soft && r.d.Outcome != bounce.Hard || r.v.Rule == expiredVerdict.Rule {
				return nil
			}
			r.d.Response = str(row[15])
			v, taken := now[r.lastTry] // stored before this one
			if !taken {
				v = judge(&r.d, str(row[17]))
			}
			now[id] = v
			if v != r.v {
				moved = moved || v.Reason != r.v.Reason
				news = append(news, verdict{id, kindOf(r.d.Outcome, v.Reason), v})
			}
			return nil
		}, selectReply+" ORDER BY r.id")
		if err != nil {
			return err
		}
		for _, n := range news {
			w.kind(outcomeOf(n.kind), n.v.Reason)
			if err := w.c.Run("UPDATE reply SET kind = ?, detail = ?, scope = ?, rule = ?, confidence = ? WHERE id = ?",
				n.kind, null(n.v.Detail), null(n.v.Scope.String()), null(n.v.Rule), null(n.v.Confidence.String()), n.id); err != nil {
				return err
			}
			changed++
		}
		if moved {
			// Only failures have a reason.
			const failed = "IN ($SOFT, $HARD)"
			for _, dim := range dimensions {
				err := w.c.Exec(layoutSQL("DELETE FROM rollup_" + string(dim) + " WHERE key >> $REASON_BITS & $OUTCOME_MASK " + failed))
				if err == nil {
					err = w.c.Exec(layoutSQL("INSERT INTO rollup_" + string(dim) + " " + rollupSQL(dim, "r.kind >> $REASON_BITS "+failed)))
				}
				if err != nil {
					return err
				}
			}
			if err := w.sumTotals(); err != nil {
				return err
			}
			if err := w.fillNarrow(); err != nil {
				return err
			}
		}
		return w.reset()
	})
	return changed, err
}
