* pmos-lvt at ss: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_lvt_ss pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=1.25e-09 toxp=1.25e-09 toxm=1.25e-09 cgso=1.612759e-10
+ cgdo=1.612759e-10 vth0=-0.2216861 nfactor=0.06318914 eta0=0.1444846 u0=0.09044181 vsat=86465.67
+ pclm=0.7541908 minv=1.140617 rdsw=447.9501 ua=-2.201258e-10 ub=1.613629e-18 prwg=0.3695048
+ delta=0.06410925 pvag=-0.06454964 cdscd=0.0002033534 voff=-0.01735941 a2=0.3506595 vtl=96429.01
+ xn=3.191046 ute=0.07178777 kt1=-0.1807215 at=13635 ua1=1e-08 ub1=-7.062627e-18
+ prt=147.8798 tvoff=0.0008709656 tnfactor=-0.03551573 teta0=-0.004805367)
