-- reviews/insert: Stores a review of a version.
INSERT INTO skill_reviews (tenant_id, id, version_id, reviewer_id, verdict, comment, findings, quality, clarity, completeness,
                           decided_by, counted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
