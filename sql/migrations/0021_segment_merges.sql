-- A merge of large segments of the search index writes the blocks of the new segment before the segment itself, whose directory is known
-- when the last block is written.

ALTER TABLE search_blocks
    ALTER CONSTRAINT search_blocks_tenant_id_segment_id_fkey DEFERRABLE INITIALLY DEFERRED;
