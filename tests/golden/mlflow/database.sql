CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('dc11669786a5');
CREATE TABLE "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO "experiments" VALUES(0,'Default','/home/me/mlruns/0','active',1795426133463,1795426133463,'default');
INSERT INTO "experiments" VALUES(1,'digits','/home/me/mlruns/1','active',1795426133471,1795426133471,'default');
INSERT INTO "experiments" VALUES(2,'other','/home/me/mlruns/2','active',1795426133713,1795426133713,'default');
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "metrics" VALUES('loss',1.0,1795426133618,'42a90de22b07478ea6671ae199a1824f',0,0);
INSERT INTO "metrics" VALUES('loss',0.5,1795426133628,'42a90de22b07478ea6671ae199a1824f',1,0);
INSERT INTO "metrics" VALUES('loss',3.33333333333333314829e-01,1795426133635,'42a90de22b07478ea6671ae199a1824f',2,0);
INSERT INTO "metrics" VALUES('loss',9.5,1795426133641,'42a90de22b07478ea6671ae199a1824f',1,0);
INSERT INTO "metrics" VALUES('train/acc',0.0,1795426133647,'42a90de22b07478ea6671ae199a1824f',0,1);
INSERT INTO "metrics" VALUES('inf',-1.79769313486231562234e+308,1795426133652,'42a90de22b07478ea6671ae199a1824f',5,0);
INSERT INTO "metrics" VALUES('nostep',3.0,1795426133662,'42a90de22b07478ea6671ae199a1824f',0,0);
INSERT INTO "metrics" VALUES('nostep',2.0,1795426133666,'42a90de22b07478ea6671ae199a1824f',0,0);
INSERT INTO "metrics" VALUES('nostep',1.0,1795426133673,'42a90de22b07478ea6671ae199a1824f',0,0);
INSERT INTO "metrics" VALUES('a',1.5,1795426133734,'9a37b8c2e7ef4ae6b003d069edf32916',-3,0);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "params" VALUES('lr','0.01','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "params" VALUES('epochs','3','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "params" VALUES('name','sgd: ''x''','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "params" VALUES('flag','True','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "params" VALUES('none','None','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "params" VALUES('model/depth','3','42a90de22b07478ea6671ae199a1824f');
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO "runs" VALUES('42a90de22b07478ea6671ae199a1824f','first','UNKNOWN','','','me','FINISHED',1795426133591,1795426133685,'','active','/home/me/mlruns/1/42a90de22b07478ea6671ae199a1824f/artifacts',1,NULL);
INSERT INTO "runs" VALUES('34209f87398044df9b3495af4ecbaaa0','failing','UNKNOWN','','','me','FAILED',1795426133694,1795426133703,'','active','/home/me/mlruns/1/34209f87398044df9b3495af4ecbaaa0/artifacts',1,NULL);
INSERT INTO "runs" VALUES('9a37b8c2e7ef4ae6b003d069edf32916','gregarious-bear-125','UNKNOWN','','','me','FINISHED',1795426133725,1795426133748,'','active','/home/me/mlruns/2/9a37b8c2e7ef4ae6b003d069edf32916/artifacts',2,NULL);
INSERT INTO "runs" VALUES('2fd8ef8ba52d470aa47ef5815176a0a5','deleted','UNKNOWN','','','me','FINISHED',1795426133779,1795426133789,'','deleted','/home/me/mlruns/2/2fd8ef8ba52d470aa47ef5815176a0a5/artifacts',2,1795426133797);
INSERT INTO "runs" VALUES('2c9fad328e974558bb2c09bf5271956d','killed','UNKNOWN','','','me','KILLED',1795426133801,1795426133809,'','active','/home/me/mlruns/2/2c9fad328e974558bb2c09bf5271956d/artifacts',2,NULL);
CREATE TABLE "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "tags" VALUES('mlflow.user','me','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "tags" VALUES('mlflow.note.content','what for','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "tags" VALUES('mlflow.runName','first','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "tags" VALUES('owner','mé: #1
 two','42a90de22b07478ea6671ae199a1824f');
INSERT INTO "tags" VALUES('mlflow.user','me','34209f87398044df9b3495af4ecbaaa0');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','34209f87398044df9b3495af4ecbaaa0');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','34209f87398044df9b3495af4ecbaaa0');
INSERT INTO "tags" VALUES('mlflow.runName','failing','34209f87398044df9b3495af4ecbaaa0');
INSERT INTO "tags" VALUES('mlflow.user','me','9a37b8c2e7ef4ae6b003d069edf32916');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','9a37b8c2e7ef4ae6b003d069edf32916');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','9a37b8c2e7ef4ae6b003d069edf32916');
INSERT INTO "tags" VALUES('mlflow.runName','gregarious-bear-125','9a37b8c2e7ef4ae6b003d069edf32916');
INSERT INTO "tags" VALUES('mlflow.user','me','2fd8ef8ba52d470aa47ef5815176a0a5');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','2fd8ef8ba52d470aa47ef5815176a0a5');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','2fd8ef8ba52d470aa47ef5815176a0a5');
INSERT INTO "tags" VALUES('mlflow.runName','deleted','2fd8ef8ba52d470aa47ef5815176a0a5');
INSERT INTO "tags" VALUES('mlflow.user','me','2c9fad328e974558bb2c09bf5271956d');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','2c9fad328e974558bb2c09bf5271956d');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','2c9fad328e974558bb2c09bf5271956d');
INSERT INTO "tags" VALUES('mlflow.runName','killed','2c9fad328e974558bb2c09bf5271956d');
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE INDEX idx_experiments_workspace ON experiments (workspace);
CREATE INDEX idx_experiments_workspace_creation_time ON experiments (workspace, creation_time);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, "key", step);
